"""Where voxels appear in the pictures, whatever the order and direction of their axes."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfield.artifacts import Grid
from voxfield.report._view import VIEWS, body_axes, make_frame, project, read, read_flat

SHAPE = (9, 11, 13)
ORIENTATIONS = [(p, s) for p in permutations(range(3)) for s in product((1, -1), repeat=3)]


def grid_of(order: tuple[int, ...], signs: tuple[int, ...], spacing: float = 2.0) -> Grid:
    """A grid whose voxel axis `a` runs along world axis `order[a]`, backwards where the sign is negative."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Grid(SHAPE, affine)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_patient_right_is_left_and_head_is_up(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    grid = grid_of(order, signs)
    frame = make_frame(grid, None)
    marked = np.array([4.0, -5.0, 6.0])  # to the right, to the back, upwards, mm
    axial, coronal, sagittal = (frame.plane(view, marked[None])[0] for view in VIEWS)
    width, height = frame.size
    assert axial[0] == pytest.approx(width / 2 - 4)
    assert axial[1] == pytest.approx(height / 2 + 5)  # posterior is below in an axial picture
    assert coronal == pytest.approx([width / 2 - 4, height / 2 - 6])
    assert sagittal == pytest.approx([width / 2 + 5, height / 2 - 6])  # posterior is on the right of a sagittal one


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS[::5])
def test_bright_voxel_is_seen_where_it_lies(order: tuple[int, ...], signs: tuple[int, ...], dtype: type) -> None:
    grid = grid_of(order, signs)
    values = np.zeros(SHAPE, dtype)
    values[2, 3, 4] = 1.0
    everywhere = np.ones(SHAPE, dtype=bool)
    frame = make_frame(grid, None)
    for view in VIEWS:
        flat, _ = project(values, grid, frame, view, everywhere, "max")
        seen = np.nan_to_num(read_flat(flat, grid, frame, view, 0.5))
        row, column = np.unravel_index(np.argmax(seen), seen.shape)
        expected = frame.plane(view, grid.world([[2, 3, 4]]))[0]
        assert abs((column + 0.5) * frame.size[0] / seen.shape[1] - expected[0]) <= 0.5
        assert abs((row + 0.5) * frame.size[1] / seen.shape[0] - expected[1]) <= 0.5


def test_letters_of_the_three_views() -> None:
    letters = [[v.letters[side] for side in ("left", "right", "top", "bottom")] for v in VIEWS]
    assert letters == [["R", "L", "A", "P"], ["R", "L", "S", "I"], ["A", "P", "S", "I"]]


@given(st.floats(-40, 40), st.floats(-40, 40), st.floats(-40, 40))
def test_body_axes_are_the_nearest_directions(a: float, b: float, c: float) -> None:
    from scipy.spatial.transform import Rotation

    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (a, b, c), degrees=True).as_matrix() @ np.diag([1, 2, 0.5])
    body, order = body_axes(Grid(SHAPE, affine))
    assert sorted(order) == [0, 1, 2]
    assert np.allclose(np.linalg.norm(body, axis=0), 1)
    assert (np.diag(body) > 0).all()


def test_focus_is_the_slice_with_most_lumen() -> None:
    grid = grid_of((0, 1, 2), (1, 1, 1))
    lumen = np.zeros(SHAPE, dtype=bool)
    lumen[4, 5, 3:9] = True
    lumen[3:6, 4:7, 6] = True
    frame = make_frame(grid, lumen, grid)
    assert frame.focus == pytest.approx(grid.world([4, 5, 6]))


def test_linear_values_are_read_exactly_up_to_the_edge_of_a_mask() -> None:
    grid = grid_of((0, 1, 2), (1, 1, 1), spacing=1.0)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:7, 2:9, 3:10] = True
    values = np.where(mask, 5.0, -1000.0)
    points = grid.world(np.array([[2.0, 3, 4], [4.4, 5.1, 6.2], [6.4, 8.3, 9.4], [6.6, 5, 5], [0, 0, 0]]))
    got = read(values, grid, points, mask)
    assert got[:2] == pytest.approx(5.0)
    assert np.isnan(got[3:]).all()
    assert np.isnan(read(values, grid, grid.world([[-2.0, 0, 0]]))).all()
