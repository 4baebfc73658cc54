"""The objective is the base loss plus a weighted sum; its configuration is judged, plug-ins are found."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from voxfield.artifacts import Cohort, Image, LabelMap, Model
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.segmentation import predict, train
from voxfield.segmentation.losses import Truth, _objective, dice_cross_entropy, objective
from voxfield.segmentation.losses._tube import tube


@dataclass(frozen=True)
class Mean:
    """A term that a package might add: the mean logit, times a factor."""

    needs_tube: ClassVar[bool] = False
    factor: float = 1.0

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        return self.factor * logits.mean()


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_objective.REGULARIZERS, "mean", f"{__name__}:Mean")


def truth(shape: tuple[int, ...] = (1, 4, 4, 4)) -> Truth:
    target = torch.zeros(shape, dtype=torch.int64)
    target[0, 1:3] = 1
    return Truth(target, torch.ones(shape), (1.0, 1.0, 1.0))


def test_a_sum_of_base_and_weighted_terms() -> None:
    images = torch.randn(1, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    total, parts = objective({"mean": {"weight": 0.5, "factor": 3}})(nn.Identity(), images, truth())
    base = dice_cross_entropy(images, truth().target, truth().weight)
    torch.testing.assert_close(total, base + 0.5 * 3 * images.mean())
    assert parts["base"] == pytest.approx(float(base))
    assert parts["mean"] == pytest.approx(3 * float(images.mean()))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"meen": 1.0}, "regularizer 'meen' is unknown; the nearest known one is 'mean'"),
        ({"mean": 0.0}, "expected a number above 0"),
        ({"mean": {"weight": 1.0, "facter": 1.0}}, "the nearest known one is 'factor'"),
        ({"mean": {"factor": "two"}}, "factor is 'two'; expected float"),
    ],
)
def test_mistakes_in_a_configuration_are_told(config: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        objective(config)


def test_a_network_may_bring_its_own_loss() -> None:
    class Own(nn.Module):
        def outputs(self, images: Tensor) -> Tensor:
            return images

        def own_loss(self, outputs: Tensor, truth: Truth) -> Tensor:
            return outputs.sum()

        def decode(self, outputs: Tensor) -> Tensor:
            return outputs

    images = torch.ones(1, 2, 4, 4, 4)
    total, _ = objective({"mean": 1.0})(Own(), images, truth())
    assert float(total) == 128 + 1


def test_the_tube_is_two_voxels_wide_and_stays_inside() -> None:
    target = np.zeros((21, 21, 30), dtype=np.uint8)
    target[3:18, 3:18, :] = 1
    target[:, :, 28:] = 255
    found = tube(target, 255)
    assert not found[target != 1].any()
    x, y = np.meshgrid(*[np.arange(21) - 10] * 2, indexing="ij")
    # Away from the ends the skeleton of a square bar is its axis, and the tube all within two steps of it.
    assert np.array_equal(found[:, :, 14] > 0, np.abs(x) + np.abs(y) <= 2)
    assert not tube(np.zeros((4, 4, 4), dtype=np.uint8), 255).any()


def case() -> tuple[Cohort, Image, LabelMap, LabelMap]:
    mask = np.zeros((24, 24, 24), dtype=np.uint8)
    mask[8:16, 8:16, :] = 1
    lung = np.zeros_like(mask)
    lung[4:20, 4:20, 4:20] = 1
    noise = np.random.default_rng(0).normal(0, 0.2, mask.shape)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    cohort = Cohort({"subject": ["a"], "split": ["train"]})
    return cohort, Image((mask + noise).astype(np.float32), affine), LabelMap(mask, affine), LabelMap(lung, affine)


SMALL: dict[str, Any] = {"steps": 3, "patch": (16, 16, 16), "channels": (4, 8)}


def test_a_model_trained_with_the_lung_wants_it_again() -> None:
    cohort, image, mask, lung = case()
    extras: Any = ("lung_distance", "coordinates")
    model = train(cohort, [image], [mask], [lung], **SMALL, extras=extras, ctx=Context(device="cpu")).model
    assert model.config["arguments"]["in_channels"] == 5
    found = predict(image, model, lung, ctx=Context(device="cpu")).probability
    assert found.shape == image.shape
    with pytest.raises(InputError, match="wants to know the lung"):
        predict(image, model, ctx=Context(device="cpu"))


def test_training_goes_on_from_a_model() -> None:
    cohort, image, mask, _ = case()
    first = train(cohort, [image], [mask], **SMALL, ctx=Context(device="cpu")).model
    ctx = Context(device="cpu")
    # One step of a vanishing rate: what comes out is what was taken over.
    settings: dict[str, Any] = {**SMALL, "steps": 1, "learning_rate": 1e-12}
    second = train(cohort, [image], [mask], from_=first, **settings, ctx=ctx).model
    for name, weight in first.weights.items():
        torch.testing.assert_close(second.weights[name], weight)
    assert "continued" in [finding.code for finding in ctx.findings]
    other = Model(dict(first.weights), {}, family="grading", architecture="unet", licence="none")
    with pytest.raises(InputError, match="expected one of segmentation"):
        train(cohort, [image], [mask], from_=other, **SMALL, ctx=Context(device="cpu"))
