"""Planes out of clouds of annotated voxels, points of several maps, and what each shows."""

import numpy as np
import pytest
from shapes import SHAPES, centres, draw, ellipsoid, every, grid_of, oblique

from voxfield.artifacts import LabelMap
from voxfield.segmentation.slices._annotated import gather
from voxfield.segmentation.slices._beyond import background_beyond
from voxfield.segmentation.slices._fit import widest_gap_mm
from voxfield.segmentation.slices._planes import SCATTERED, find_planes


def found(seen: np.ndarray) -> np.ndarray:
    return find_planes(seen, np.random.default_rng(0))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("count", [2, 5, 12])
def test_slices_along_an_axis_are_the_planes(axis: int, count: int) -> None:
    seen = every(grid_of(), count, axis)
    planes, place = found(seen), np.argwhere(seen)[:, axis]
    assert set(planes) == set(range(count))
    assert len(set(zip(planes.tolist(), place.tolist(), strict=True))) == count


def test_neighbouring_slices_stay_apart() -> None:
    seen = np.zeros((20, 20, 20), bool)
    seen[:, :, 8:13] = True
    planes, place = found(seen), np.argwhere(seen)[:, 2]
    assert len(set(zip(planes.tolist(), place.tolist(), strict=True))) == 5


@pytest.mark.parametrize("normal", [(1, 2, 3), (1, 1, 1), (0.1, -1, 0.4)])
def test_oblique_planes_stay_in_one_piece(normal: tuple[float, float, float]) -> None:
    grid = grid_of((1, 1, 2))
    seen = oblique(grid, normal, (-8, 0, 8))
    planes = found(seen)
    index = np.argwhere(seen)
    truth = np.round(centres(grid)[tuple(index.T)] @ (np.array(normal) / np.linalg.norm(normal)) / 8)
    assert set(planes) <= {SCATTERED, 0, 1, 2}
    assert np.mean([np.mean(truth[planes == k] == np.median(truth[planes == k])) for k in range(3)]) == 1
    assert np.mean(planes == SCATTERED) < 0.01


def test_crossing_planes_share_a_line() -> None:
    seen = np.zeros((30, 30, 30), bool)
    seen[15] = seen[:, 15] = seen[:, :, 15] = True
    planes = found(seen)
    assert sorted(np.bincount(planes).tolist()) == [29 * 29, 30 * 29, 900]


def test_a_drawn_patch_is_a_plane_and_specks_are_none() -> None:
    seen = np.zeros((30, 30, 30), bool)
    seen[4:14, 6:20, 7] = seen[10:25, 8, 10:28] = True
    seen[29, 29, 29] = seen[0, 29, 3] = True
    planes = found(seen)
    assert np.bincount(planes[planes >= 0]).tolist() == [280, 130], "ten voxels lie on both"
    assert (planes == SCATTERED).sum() == 2


def test_points_contours_and_gap_of_a_ball_on_three_slices() -> None:
    grid = grid_of((1, 1, 2))
    drawn = gather([draw(SHAPES["sphere"], grid, every(grid, 4))], [1], np.random.default_rng(0))
    assert drawn.plane_numbers == [0, 1, 2, 3]
    heights = [set(drawn.points[drawn.planes == k, 2]) for k in range(4)]
    assert heights == [{-15.0}, {-5.0}, {5.0}, {15.0}], "planes are numbered along the axis"
    ends = drawn.points[drawn.edges]
    assert np.allclose(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1), 1.0)
    assert (np.ptp(drawn.classes[drawn.edges], axis=1) == 1).all()
    assert np.allclose(np.linalg.norm(ends.mean(axis=1)[:, :2], axis=1), 12.0, atol=0.8), "sqrt(13^2 - 5^2)"
    assert widest_gap_mm(drawn) == pytest.approx(10.0)


def test_leaving_a_plane_out_drops_its_points_and_contours() -> None:
    grid = grid_of()
    drawn = gather([draw(SHAPES["torus"], grid, every(grid, 5))], [1], np.random.default_rng(0))
    less = drawn.keep(drawn.planes != 2)
    assert less.plane_numbers == [0, 1, 3, 4]
    expected = drawn.points[drawn.edges[(drawn.planes[drawn.edges] != 2).all(axis=1)]]
    assert np.array_equal(less.points[less.edges], expected)


def test_maps_on_their_own_grids_meet_in_the_world() -> None:
    grid = grid_of()
    turned = np.array([[0, 0, 1.0, 3], [0.5, 0, 0, -20], [0, 0.5, 0, -20], [0, 0, 0, 1]])
    slice_x = LabelMap(np.eye(80, dtype=np.uint8)[:, :, None], turned)
    drawn = gather([draw(SHAPES["sphere"], grid, every(grid, 2)), slice_x], [1], np.random.default_rng(0))
    own = drawn.points[drawn.planes == 0]
    assert drawn.plane_numbers == [0, 1, 2]
    assert set(own[:, 0]) == {3.0}, "the slice faces x and comes first"
    inside = drawn.points[(drawn.planes == 0) & (drawn.classes == 1)]
    assert np.allclose(inside[:, 1], inside[:, 2])


@pytest.mark.parametrize("count", [1, 3])
def test_beyond_the_outer_planes_a_disc_ends_as_a_cone(count: int) -> None:
    """A cylinder of radius 9: at a way t beyond its last slice, background begins where 9 - r < t."""
    grid = grid_of((0.5, 0.5, 5))
    seen = np.zeros(grid.shape, bool)
    seen[:, :, 3 : 3 + count] = True
    drawn = gather([draw(ellipsoid(9, 9, 1e6), grid, seen)], [1], np.random.default_rng(0))
    points = background_beyond(drawn, 8.0, np.random.default_rng(1))
    height = drawn.points[:, 2]
    way = np.maximum(points[:, 2] - height.max(), height.min() - points[:, 2])
    left = 9 - np.linalg.norm(points[:, :2], axis=1)
    assert way.min() > 0
    assert (left - way).max() < 0.7
    assert len(points) > 1000
    over = (way > 4) & (way < 5) & (left > 0)
    assert np.histogram(left[over], bins=[0, 1, 2, 3, 4])[0].min() > 20, "all of it, up to the cone"
