"""segmentation.from_slices: the contract, honest error, resuming, refusals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapes import SHAPES, UNANNOTATED, centres, dice, draw, ellipsoid, every, grid_of

from voxfield import registry
from voxfield.artifacts import Artifact, Grid, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.runner import Call, run
from voxfield.segmentation import from_slices
from voxfield.segmentation.slices import _fit
from voxfield.testing import StageContract

COARSE = grid_of((1.25, 1.25, 1.25))


def shape_of(*maps: LabelMap, steps: int = 5, folds: int = 0) -> Any:
    return from_slices(maps[0], maps[1:], steps=steps, folds=folds, ctx=Context(device="cpu"))


class TestFromSlices(StageContract):
    """A few steps on a sphere, a single slice of it beside."""

    name = "segmentation.from_slices"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
        affine[:3, 3] = [-16, -16, 0.3]
        across = LabelMap(SHAPES["sphere"](centres(Grid((33, 33, 1), affine))).astype(np.uint8), affine)
        return {"annotation": draw(SHAPES["sphere"], COARSE, every(COARSE, 4, axis=0)), "slices": [across]}

    def make_settings(self) -> Mapping[str, Any]:
        return {"steps": 5, "folds": 2}


def test_nothing_is_foreground_far_from_what_was_drawn() -> None:
    grid = grid_of((2, 2, 2), half_mm=60)
    seen = np.zeros(grid.shape, bool)
    seen[25:36, 25:36, [27, 30, 33]] = True
    result = shape_of(draw(ellipsoid(8, 8, 8), grid, seen))
    distance = np.linalg.norm(centres(grid), axis=-1)
    assert result.metrics.values["gap_mm"] == pytest.approx(6)
    assert result.probability.data[distance > 8 + 6 + 2].max() == 0


def test_left_out_agreement_is_that_of_a_field_which_never_saw_the_plane() -> None:
    truth, seen = SHAPES["oblique capsule"](centres(COARSE)), every(COARSE, 6)
    whole = draw(SHAPES["oblique capsule"], COARSE, seen)
    result = shape_of(whole, steps=60, folds=3)
    values = result.metrics.values["left_out"]
    places = np.flatnonzero(seen[0, 0])
    less = whole.data.copy()
    less[:, :, places[[1, 4]]] = UNANNOTATED
    alone = shape_of(LabelMap(less, whole.affine, unannotated=UNANNOTATED), steps=60).mask.data > 0
    for plane in (1, 4):
        own = (slice(None), slice(None), places[plane])
        assert values["planes"][plane]["organ"] == pytest.approx(dice(alone[own], truth[own]))
    assert values["dice"]["organ"] < result.metrics.values["fit"]["dice"]["organ"]
    wrong = (result.mask.data > 0) != truth
    unsure = result.disagreement.data
    assert unsure[wrong].mean() > 2 * unsure[~wrong & (unsure > 0)].mean()


def test_killed_run_keeps_its_finished_fields_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(SHAPES["sphere"], COARSE, every(COARSE, 5)).save(tmp_path / "drawn.nii.gz")
    fit, fitted = _fit.fit, []

    def call(folder: str) -> Call:
        outputs = {name: tmp_path / folder / f"{name}.nii.gz" for name in ("probability", "disagreement")}
        inputs = {"annotation": tmp_path / "drawn.nii.gz"}
        stage = registry.get("segmentation.from_slices")
        return Call(stage, inputs, outputs, {"steps": 10, "folds": 3}, seed=4, device="cpu")

    def dying(*arguments: Any, **settings: Any) -> None:
        fitted.append(fit(*arguments, **settings))
        if len(fitted) == 2:
            raise KeyboardInterrupt

    run(call("whole"))
    with monkeypatch.context() as patched:
        patched.setattr(_fit, "fit", dying)
        with pytest.raises(KeyboardInterrupt):
            run(call("cut"))
        run(call("cut"))
    assert len(fitted) == 5, "two before the kill, of which one was kept; three after it"
    for path in (tmp_path / "whole").iterdir():
        if path.name.endswith(".nii.gz"):
            assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes()


def test_two_planes_have_no_honest_error() -> None:
    ctx = Context(device="cpu")
    result = from_slices(draw(SHAPES["sphere"], COARSE, every(COARSE, 2)), steps=2, ctx=ctx)
    assert result.metrics.values["left_out"] is None
    assert result.disagreement is None
    assert "no-plane-left-out" in ctx.findings.codes()


def sparse(values: np.ndarray, **told: Any) -> LabelMap:
    return LabelMap(values.astype(np.uint8), np.eye(4), **told)


def test_refusals() -> None:
    full = np.zeros((12, 12, 12), np.uint8)
    full[3:9, 3:9, 3:9] = 1
    drawn = np.full(full.shape, UNANNOTATED, np.uint8)
    drawn[:, :, 4::3] = full[:, :, 4::3]
    with pytest.raises(InputError, match="zeros count as drawn background"):
        shape_of(sparse(full))
    with pytest.raises(InputError, match=r"holds 255, .* declares no unannotated value"):
        shape_of(sparse(drawn))
    with pytest.raises(InputError, match="hold only background"):
        shape_of(sparse(np.where(drawn == 1, 0, drawn), unannotated=UNANNOTATED))
    with pytest.raises(InputError, match="hold only 1"):
        shape_of(sparse(np.where(drawn == 0, 1, drawn), unannotated=UNANNOTATED))
    with pytest.raises(InputError, match="hold only nothing"):
        shape_of(sparse(np.full(full.shape, UNANNOTATED), unannotated=UNANNOTATED))
    flat = np.full(full.shape, UNANNOTATED)
    flat[:, :, 2], flat[:, :, 8] = 0, 1
    with pytest.raises(InputError, match="no plane shows a contour"):
        shape_of(sparse(flat, unannotated=UNANNOTATED))
    single = np.full(full.shape, UNANNOTATED)
    single[:, :, 5] = full[:, :, 5]
    with pytest.raises(InputError, match="found 1 plane"):
        shape_of(sparse(single, unannotated=UNANNOTATED))
    named = [sparse(drawn, unannotated=UNANNOTATED, labels={1: name}) for name in ("artery", "vein")]
    with pytest.raises(InputError, match="one name a label"):
        shape_of(*named)
    with pytest.raises(InputError, match="the label -1"):
        shape_of(LabelMap(np.where(drawn == 1, -1, drawn.astype(int)), np.eye(4), unannotated=UNANNOTATED))
