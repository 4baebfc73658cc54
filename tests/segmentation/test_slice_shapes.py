"""segmentation.from_slices: exact shapes from few planes, on any grid and in any orientation."""

from typing import Any

import numpy as np
import pytest
from shapes import SHAPES, UNANNOTATED, capsule, centres, dice, draw, ellipsoid, every, grid_of, interpolated, oblique

from voxfield.artifacts import Grid, Image, LabelMap
from voxfield.context import Context
from voxfield.segmentation import from_slices

COARSE = grid_of((1.25, 1.25, 1.25))


def shape_of(*maps: LabelMap, reference: Image | None = None, steps: int = 150) -> Any:
    return from_slices(maps[0], maps[1:], reference, steps=steps, folds=0, ctx=Context(device="cpu"))


def blank(grid: Grid) -> Image:
    return Image(np.zeros(grid.shape, np.float32), grid.affine)


@pytest.mark.parametrize(
    ("name", "least"), [("sphere", 0.93), ("oblique capsule", 0.93), ("torus", 0.89), ("branching tube", 0.9)]
)
def test_exact_shapes_from_six_slices(name: str, least: float) -> None:
    truth, seen = SHAPES[name](centres(COARSE)), every(COARSE, 6)
    result = shape_of(draw(SHAPES[name], COARSE, seen), steps=250)
    found = result.mask.data > 0
    assert dice(found, truth) > least
    assert dice(found[seen], truth[seen]) > 0.94
    assert result.metrics.values["fit"]["dice"]["organ"] == dice(found[seen], truth[seen])
    assert np.array_equal(found, result.probability.data > 0.5)
    assert result.mask.labels == {1: "organ"}
    if name in ("oblique capsule", "torus"):  # what stands upright on the slices is as well interpolated
        plain = interpolated(truth, np.flatnonzero(seen[0, 0]), COARSE.spacing)
        assert dice(found, truth) > dice(plain, truth) + 0.03


def test_oblique_planes_in_a_volume_and_slices_with_their_own_affines() -> None:
    inside = SHAPES["ellipsoid"]
    truth = inside(centres(COARSE))
    seen = oblique(COARSE, (1, 2, 2), (-9, -3, 3, 9))
    assert dice(shape_of(draw(inside, COARSE, seen)).mask.data > 0, truth) > 0.93
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    single = []
    for axis in range(3):
        affine = np.eye(4)
        affine[:3, :3] = np.roll(turn, axis, axis=1)
        affine[:3, 3] = affine[:3, :3] @ [-20, -20, 0.5]
        grid = Grid((41, 41, 1), affine)
        single.append(LabelMap(inside(centres(grid)).astype(np.uint8), affine, labels={1: "organ"}))
    result = shape_of(*single, reference=blank(COARSE))
    assert result.mask.grid.same_as(COARSE)
    assert result.metrics.values["planes"] == 3
    assert dice(result.mask.data > 0, truth) > 0.93


def test_same_planes_on_other_grids_give_the_same_shape() -> None:
    """Planes z = -15, -9, ... 15 mm, once inside a turned and flipped volume, once as slices 6 mm apart."""
    turned = Grid((36, 37, 18), np.array([[0, 0, -2.0, 17], [1, 0, 0, -17.5], [0, 1, 0, -18], [0, 0, 0, 1]]))
    upright = Grid((45, 29, 6), np.array([[0.8, 0, 0, -17.6], [0, 1.25, 0, -17.5], [0, 0, 6.0, -15], [0, 0, 0, 1]]))
    masks = []
    for grid in (turned, upright):
        seen = np.isin(centres(grid)[..., 2], (-15, -9, -3, 3, 9, 15))
        drawn = draw(SHAPES["oblique capsule"], grid, seen)
        masks.append(shape_of(drawn, reference=blank(COARSE)).mask.data > 0)
    assert dice(*masks) > 0.93


def test_unit_of_length_does_not_matter() -> None:
    whole = draw(SHAPES["torus"], COARSE, every(COARSE, 6))
    tiny = LabelMap(whole.data, np.diag([0.01, 0.01, 0.01, 1]) @ whole.affine, unannotated=UNANNOTATED)
    one, other = (shape_of(a, steps=60).mask.data > 0 for a in (whole, tiny))
    assert dice(one, other) > 0.99


def test_stack_of_thick_slices_is_brought_to_a_finer_grid() -> None:
    inside, thick = SHAPES["branching tube"], grid_of((1, 1, 5))
    stack = LabelMap(inside(centres(thick)).astype(np.uint8), thick.affine)
    result = shape_of(stack, reference=blank(COARSE))
    assert result.metrics.values["planes"] == thick.shape[2]
    assert dice(result.mask.data > 0, inside(centres(COARSE))) > 0.87


def test_several_labels_keep_their_values() -> None:
    points = centres(COARSE)
    outer, inner = ellipsoid(15, 12, 15)(points), capsule((-2, 0, -9), (2, 0, 9), 6)(points)
    truth = np.where(inner, 3, np.where(outer, 7, 0))
    seen = every(COARSE, 6)
    sparse = LabelMap(np.where(seen, truth, UNANNOTATED), COARSE.affine, labels={3: "core"}, unannotated=UNANNOTATED)
    result = shape_of(sparse)
    assert result.mask.labels == {3: "core", 7: "label-7"}
    assert dice(result.mask.data == 3, truth == 3) > 0.85
    assert dice(result.mask.data == 7, truth == 7) > 0.85
    assert dice(result.mask.data > 0, truth > 0) > 0.93
