"""segmentation.predict: the contract, geometry, findings, and models that can not be used."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tubes import AFFINE, tube

from voxfield.artifacts import Artifact, Image, Model
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.segmentation import _sliding, networks, predict
from voxfield.segmentation._plan import Plan, Ranges
from voxfield.segmentation._preprocess import Normalisation
from voxfield.testing import StageContract

ARGUMENTS = {"in_channels": 1, "classes": 3, "channels": [4, 8], "units": 0}
WIDE = Ranges(((0.1,) * 3, (9.0,) * 3), ((1,) * 3, (99,) * 3), ((-99.0,) * 3, (99.0,) * 3))
PLAN = Plan("unet", ARGUMENTS, (16, 16, 16), (0.5, 0.5, 0.5), Normalisation(), {2: "vein", 7: "artery"}, WIDE)


def model(plan: Plan = PLAN, **changes: Any) -> Model:
    """A network with random weights."""
    weights = networks.build(plan.architecture, plan.arguments, seed=5).state_dict()
    config = {**plan.as_config(), **changes}
    return Model(weights, config, family="segmentation", architecture=plan.architecture, licence="none")


def segment(image: Image, using: Model | None = None) -> tuple[Any, list[str]]:
    ctx = Context(device="cpu")
    return predict(image, using or model(), ctx=ctx), ctx.findings.codes()


class TestPredict(StageContract):
    """A tube through random weights."""

    name = "segmentation.predict"
    needs = ("monai",)

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        return {"image": Image(tube(0)[0], AFFINE), "model": model()}


def test_mask_is_where_the_probability_exceeds_the_threshold() -> None:
    image = Image(tube(0)[0], AFFINE)
    result, _ = segment(image)
    probability, mask = result.probability.data, result.mask.data
    assert result.probability.grid.same_as(image.grid)
    assert result.mask.grid.same_as(image.grid)
    assert probability.dtype == np.float32
    assert ((mask > 0) == (probability > 0.5)).all()
    assert set(np.unique(mask)) <= {0, 2, 7}
    assert result.mask.labels == {2: "vein", 7: "artery"}
    high = predict(image, model(), threshold=0.9, ctx=Context(device="cpu")).mask.data
    assert ((high > 0) == (probability > 0.9)).all()


def reoriented(image: Image, order: tuple[int, int, int], flips: tuple[int, ...]) -> Image:
    """The same scan in the world, its voxels stored in another order."""
    data = image.data.transpose(order)
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    for new, old in enumerate(order):
        turn[old, new] = 1
    for axis in flips:
        data = np.flip(data, axis)
        back = np.eye(4)
        back[axis, axis], back[axis, 3] = -1, data.shape[axis] - 1
        turn = turn @ back
    return Image(np.ascontiguousarray(data), image.affine @ turn)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2)])
@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.4, 0.5, 0.8)])
def test_reoriented_scan_gives_the_reoriented_prediction(
    order: tuple[int, int, int], flips: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    image = Image(tube(1)[0], np.diag([*spacing, 1.0]))
    straight, _ = segment(image)
    turned, _ = segment(reoriented(image, order, flips))
    expected = reoriented(straight.probability, order, flips)
    assert turned.probability.grid.same_as(expected.grid)
    np.testing.assert_allclose(turned.probability.data, expected.data, atol=1e-5)


def test_small_rotation_of_the_affine_changes_no_voxel() -> None:
    image = tube(1)[0]
    c, s = np.cos(0.2), np.sin(0.2)
    oblique = np.array([[c, -s, 0, 5], [s, c, 0, -3], [0, 0, 1, 0], [0, 0, 0, 2]]) * 0.5
    straight, _ = segment(Image(image, AFFINE))
    turned, _ = segment(Image(image, oblique))
    np.testing.assert_allclose(turned.probability.data, straight.probability.data, atol=1e-6)
    np.testing.assert_allclose(turned.mask.affine, oblique)


@pytest.mark.parametrize("shape", [(1, 1, 1), (40, 3, 1), (17, 16, 33)])
def test_any_shape_is_segmented_without_nan(shape: tuple[int, int, int]) -> None:
    image = Image(np.random.default_rng(0).normal(size=shape), np.diag([0.3, 0.9, 0.5, 1.0]))
    result, _ = segment(image)
    assert result.probability.data.shape == shape
    assert np.isfinite(result.probability.data).all()


def test_constant_scan_gives_numbers() -> None:
    result, _ = segment(Image(np.full((20, 20, 20), 5.0), AFFINE))
    assert np.isfinite(result.probability.data).all()


def test_scans_unlike_those_of_training_are_told() -> None:
    ranges = Ranges(((0.5,) * 3, (0.5,) * 3), ((8,) * 3, (64,) * 3), ((-2.0, -0.2, 4.0), (-1.0, 0.1, 6.0)))
    careful = model(replace(PLAN, ranges=ranges))
    image = tube(0)[0]
    assert segment(Image(image, AFFINE), careful)[1] == []
    assert segment(Image(image, np.diag([0.502, 0.5, 0.498, 1])), careful)[1] == []
    assert "spacing-outside-training" in segment(Image(image, np.diag([0.5, 0.5, 0.6, 1])), careful)[1]
    negative = Image(-image, AFFINE)
    assert "intensity-outside-training" in segment(negative, careful)[1]


def test_empty_result_is_told() -> None:
    ctx = Context(device="cpu")
    predict(Image(tube(0)[0], AFFINE), model(), threshold=0.999999, ctx=ctx)
    assert "empty-mask" in ctx.findings.codes()


def test_scan_with_nan_is_refused() -> None:
    image = Image(np.full((16, 16, 16), np.nan), AFFINE)
    with pytest.raises(InputError, match="NaN"):
        segment(image)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 99}, "schema 99"),
        ({"orientation": "LPS"}, "LPS"),
        ({"patch": [16, 16]}, "damaged"),
        ({"patch": [16, 16, 10**9]}, "damaged"),
        ({"spacing_mm": [0.5, 0.5, 0]}, "damaged"),
        ({"spacing_mm": "a"}, "damaged"),
        ({"labels": [[1, "lumen"]]}, "damaged"),
        ({"normalisation": {"mode": "magic", "centre": 0, "scale": 1}}, "damaged"),
        ({"ranges": None}, "damaged"),
        ({"arguments": {**ARGUMENTS, "channels": [8, 8]}}, "do not fit"),
        ({"arguments": {**ARGUMENTS, "path": "x"}}, "'path' is unknown"),
    ],
)
def test_model_that_can_not_be_used_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        segment(Image(tube(0)[0], AFFINE), model(PLAN, **change))


def test_model_of_another_family_is_refused() -> None:
    other = Model(model().weights, PLAN.as_config(), family="grading", architecture="unet", licence="none")
    with pytest.raises(InputError, match="family 'grading'"):
        segment(Image(tube(0)[0], AFFINE), other)


def with_seed(seed: int, plan: Plan = PLAN) -> Model:
    weights = networks.build(plan.architecture, plan.arguments, seed=seed).state_dict()
    return Model(weights, plan.as_config(), family="segmentation", architecture="unet", licence="none")


def test_an_ensemble_is_the_mean_of_its_members_and_their_spread_the_uncertainty() -> None:
    image = Image(tube(0)[0], AFFINE)
    members = [with_seed(seed) for seed in (1, 2, 3)]
    alone = np.stack([predict(image, m, ctx=Context(device="cpu")).probability.data for m in members])
    result = predict(image, members[0], ensemble=members[1:], ctx=Context(device="cpu"))
    assert result.uncertainty is not None
    np.testing.assert_allclose(result.probability.data, alone.mean(0), atol=1e-5)
    np.testing.assert_allclose(result.uncertainty.data, alone.std(0, ddof=1), atol=1e-5)
    assert predict(image, members[0], ctx=Context(device="cpu")).uncertainty is None


def test_members_see_the_scan_in_their_own_normalisation() -> None:
    image = Image(tube(0)[0], AFFINE)
    plans = [replace(PLAN, normalisation=Normalisation("cohort", c, s)) for c, s in ((0.1, 0.5), (0.3, 2.0))]
    members = [with_seed(k, plan) for k, plan in enumerate(plans)]
    alone = [predict(image, m, ctx=Context(device="cpu")).probability.data for m in members]
    both = predict(image, members[0], ensemble=members[1:], ctx=Context(device="cpu")).probability.data
    np.testing.assert_allclose(both, np.mean(alone, axis=0), atol=1e-5)


def test_an_ensemble_shares_its_labels() -> None:
    other = with_seed(1, replace(PLAN, labels={2: "vein", 5: "nerve"}))
    with pytest.raises(InputError, match="an ensemble shares them"):
        predict(Image(tube(0)[0], AFFINE), model(), ensemble=[other], ctx=Context(device="cpu"))


def test_averaged_flips_make_the_prediction_blind_to_mirrors() -> None:
    image = Image(tube(0)[0], AFFINE)
    straight = predict(image, model(), flips=True, ctx=Context(device="cpu"))
    mirrored = predict(Image(image.data[::-1, :, ::-1].copy(), AFFINE), model(), flips=True, ctx=Context(device="cpu"))
    np.testing.assert_allclose(mirrored.probability.data[::-1, :, ::-1], straight.probability.data, atol=1e-5)
    assert straight.uncertainty is not None


@pytest.mark.parametrize("bits", [8, 16])
def test_probabilities_take_few_bits_and_come_back_the_same(bits: Any, tmp_path: Path) -> None:
    image = Image(tube(0)[0], AFFINE)
    full = predict(image, model(), ctx=Context(device="cpu")).probability
    few = predict(image, model(), bits=bits, ctx=Context(device="cpu")).probability
    assert np.abs(few.data - full.data).max() <= 0.5 / (2**bits - 1) + 1e-6
    few.save(tmp_path / "p.nii")
    assert np.array_equal(Image.load(tmp_path / "p.nii").data, few.data)
    assert (tmp_path / "p.nii").stat().st_size < 2000 + full.data.size * bits // 8
    with pytest.raises(InputError, match="values from 0 to 1"):
        Image(full.data + 0.5, AFFINE, bits=bits)


def test_windows_shrink_where_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, windows = _sliding.predict_volume, []

    def small(members: Any, channels: Any, window: Any, *rest: Any, **named: Any) -> Any:
        windows.append(window)
        if max(window) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(members, channels, window, *rest, **named)

    monkeypatch.setattr(_sliding, "predict_volume", small)
    result, codes = segment(Image(tube(0)[0], AFFINE), model(replace(PLAN, patch=(32, 16, 8))))
    assert windows == [(32, 16, 8), (16, 8, 4), (8, 4, 2)]
    assert codes.count("out-of-memory") == len(windows) - 1
    assert np.isfinite(result.probability.data).all()


def test_plan_survives_its_file() -> None:
    assert Plan.from_config("unet", PLAN.as_config()) == PLAN
