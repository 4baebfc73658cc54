"""Masks, foresight and alignment by hand; the stage: contract, resumption, and weights that training takes over."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tubes import AFFINE, tube

from voxfield import registry
from voxfield.artifacts import Artifact, Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.runner import Call, run
from voxfield.segmentation import _optimise, pretrain, train
from voxfield.segmentation.networks import build
from voxfield.segmentation.pretraining import _alignment, _masking, _views
from voxfield.segmentation.pretraining._scans import prepared
from voxfield.segmentation.pretraining._siblings import MOMENTUM, OUTPUTS, Siblings
from voxfield.segmentation.pretraining._task import Task
from voxfield.testing import StageContract

SMALL: dict[str, Any] = {"steps": 3, "patch": [16, 16, 16], "channels": [4, 8], "cell": 4}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scans(count: int) -> tuple[Cohort, list[Image], list[LabelMap]]:
    pairs = [tube(seed) for seed in range(count)]
    cohort = Cohort({"subject": [f"s{k}" for k in range(count)]})
    return cohort, [Image(i, AFFINE) for i, _ in pairs], [LabelMap(m, AFFINE) for _, m in pairs]


class TestPretrain(StageContract):
    """Two tubes without labels."""

    name = "segmentation.pretrain"
    needs = ("monai",)

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        cohort, images, _ = scans(2)
        return {"cohort": cohort, "images": images}

    def make_settings(self) -> Mapping[str, Any]:
        return SMALL


def test_cells_and_their_spread_are_inverse() -> None:
    values = torch.arange(2 * 4 * 4 * 2, dtype=torch.float32).reshape(2, 4, 4, 2)
    means = _masking.cells(values, 2)
    assert means.shape == (2, 4)
    assert means[0, 0] == values[0, :2, :2].mean()
    wide = _masking.spread(means, values.shape, 2)
    torch.testing.assert_close(_masking.cells(wide, 2), means)
    assert (wide[0, :2, :2] == means[0, 0]).all()
    assert _masking.cells(torch.ones(1, 4, 4, 1), 2).shape == (1, 4)


def test_the_hardest_cells_are_hidden_more_and_more() -> None:
    foreseen = torch.rand(3, 64, generator=generator())
    hidden = _masking.hide(foreseen, 0.5, 1.0, generator())
    assert (hidden.sum(1) == 32).all()
    hardest = foreseen.topk(16, dim=1).indices
    assert hidden.gather(1, hardest).all()
    rest = torch.zeros(64)
    for seed in range(100):
        rest += _masking.hide(foreseen, 0.5, 0.0, generator(seed)).float().mean(0)
    assert rest.min() > 30, "at first every cell has the same chance"
    assert rest.max() < 70


def test_foresight_by_hand() -> None:
    error = torch.tensor([[1.0, 3.0, 9.0]])
    hidden = torch.tensor([[True, True, False]])
    foreseen = torch.tensor([[0.5, 1.5, -9.0]])
    # One pair, seen from both of its ends: the harder cell is foreseen as harder by 1.
    assert _masking.foresight_loss(foreseen, error, hidden).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert _masking.foresight_loss(foreseen, torch.ones(1, 3), hidden).item() == 0


def test_only_hidden_voxels_are_told() -> None:
    images = torch.zeros(1, 4, 2, 2)
    said = torch.zeros_like(images)
    said[:, :2], said[:, 2:] = 3.0, 5.0
    value, error = _masking.told(images, said, torch.tensor([[True, False]]), 2)
    assert value.item() == 9
    assert error.tolist() == [[9, 25]]


def test_contrast_by_hand_and_the_closest_candidate() -> None:
    q = torch.eye(2)[None]
    expected = math.log(1 + math.exp(-1 / _alignment.TEMPERATURE))
    assert _alignment.contrast(q, q).item() == pytest.approx(expected)
    swapped = torch.eye(2).flip(0)[None]
    assert _alignment.contrast(q, swapped).item() == pytest.approx(expected + 1 / _alignment.TEMPERATURE)
    assert _alignment.closest(q[0], torch.cat([swapped, q, -q])) == 1


def test_relative_places_correspond() -> None:
    coordinate = torch.linspace(0, 1, 40)[:, None, None].expand(40, 20, 20)
    small = torch.linspace(0, 1, 20)[:, None, None].expand(20, 20, 20)
    place = torch.tensor([0.6, 0.5, 0.5])
    ours, theirs = (_views.cut([c], place, (4, 4, 4))[0] for c in (coordinate, small))
    assert ours.mean() == pytest.approx(float(theirs.mean()), abs=0.03)
    assert _views.cut([small], torch.tensor([1.0, 0.0, 0.5]), (32, 4, 4)).shape == (1, 32, 4, 4)
    near = _views.around(place, 4, generator())
    assert torch.equal(near[0], place)
    assert all((p - place).abs().max() <= _views.JITTER for p in near)


def test_the_teacher_follows_the_student() -> None:
    both = Siblings(torch.nn.Linear(1, 1, bias=False))
    before = both.teacher.weight.clone()
    both.student.weight.data += 1
    both.follow()
    torch.testing.assert_close(both.teacher.weight, before + (1 - MOMENTUM))
    assert not both.teacher.weight.requires_grad


def test_killed_pretraining_ends_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, images, _ = scans(2)
    cohort.save(tmp_path / "cohort.tsv")
    files = [tmp_path / f"{k}.nii.gz" for k in range(2)]
    for image, file in zip(images, files, strict=True):
        image.save(file)
    settings = {**SMALL, "steps": 6, "checkpoint_every": 2}

    def call(folder: Path) -> Call:
        inputs: Any = {"cohort": tmp_path / "cohort.tsv", "images": files}
        outputs = {"model": folder / "m.safetensors"}
        return Call(registry.get("segmentation.pretrain"), inputs, outputs, settings, seed=4, device="cpu")

    run(call(tmp_path / "whole"))
    update = _optimise._update

    def cut(network: Any, optimiser: Any, loss_of: Any, step: int) -> Any:
        if step == 3:
            raise KeyboardInterrupt
        return update(network, optimiser, loss_of, step)

    with monkeypatch.context() as patched:
        patched.setattr(_optimise, "_update", cut)
        with pytest.raises(KeyboardInterrupt):
            run(call(tmp_path / "cut"))
    run(call(tmp_path / "cut"))
    assert (tmp_path / "cut/m.safetensors").read_bytes() == (tmp_path / "whole/m.safetensors").read_bytes()


def test_training_takes_all_but_the_last_layer() -> None:
    cohort, images, masks = scans(2)
    start = pretrain(cohort, images, **SMALL, ctx=Context(device="cpu")).model
    ctx = Context(device="cpu")
    settings: dict[str, Any] = {"steps": 1, "learning_rate": 1e-12, "patch": [16, 16, 16], "channels": [4, 8]}
    model = train(cohort, images, masks, from_=start, **settings, ctx=ctx).model
    same = [name for name, w in start.weights.items() if w.shape == model.weights[name].shape]
    assert 0 < len(start.weights) - len(same) <= 2
    for name in same:
        torch.testing.assert_close(model.weights[name], start.weights[name])
    assert "continued" in ctx.findings.codes()


def test_the_hidden_is_learnt() -> None:
    cohort, _, _ = scans(1)
    wave = np.sin(np.indices((24, 24, 24)).sum(0) / 4)
    settings = {**SMALL, "hidden": 0.3, "channels": [8, 16], "steps": 150}
    model = pretrain(cohort, [Image(wave, np.eye(4))], **settings, ctx=Context(device="cpu")).model
    arguments = {**model.config["arguments"], "classes": OUTPUTS}
    fresh, taught = (Siblings(build("unet", arguments, seed=1)) for _ in range(2))
    taught.student.load_state_dict(dict(model.weights))
    (channels,), _ = prepared([Image(wave, np.eye(4))], None, "volume")
    task = Task([channels], (16, 16, 16), 4, 4, 0.3, 0.1, 10)
    before, after = (task.loss(both, 0, 99, torch.device("cpu"))[1]["tell"] for both in (fresh, taught))
    assert after < 0.5 * before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"patch": [18, 16, 16]}, "its sides are multiples of"),
        ({"architecture": "airwaynet"}, "has a loss of its own"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], words: str) -> None:
    cohort, images, _ = scans(1)
    with pytest.raises(SettingsError, match=words):
        pretrain(cohort, images, **{**SMALL, **settings}, ctx=Context(device="cpu"))


def test_a_cohort_without_training_rows_is_refused() -> None:
    cohort, images, _ = scans(1)
    with pytest.raises(InputError, match="at least one row of the split 'train'"):
        pretrain(Cohort({**cohort.columns, "split": ["test"]}), images, **SMALL, ctx=Context(device="cpu"))
