"""Voxels across the narrowest place on the way."""

import numpy as np
import pytest

from voxfield.pde._throat import voxels_across, wall_distance


def duct(widths: list[int], size: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """A square duct along axis 0 with the given width at each step, open at both ends."""
    mask = np.zeros((len(widths), size, size), dtype=bool)
    for place, width in enumerate(widths):
        low = (size - width) // 2
        mask[place, low : low + width, low : low + width] = True
    marks = np.zeros(mask.shape, dtype=np.int16)
    marks[0][mask[0]], marks[-1][mask[-1]] = 2, 3
    mask[[0, -1]] = False
    return mask, marks


def across(mask: np.ndarray, marks: np.ndarray) -> int:
    start, end = mask.copy(), mask.copy()
    start[2:], end[:-2] = False, False
    return voxels_across(mask, marks, start, {3: end})[3]


@pytest.mark.parametrize("width", [1, 3, 5, 7, 9])
def test_a_straight_duct_is_as_wide_as_its_voxels(width: int) -> None:
    assert across(*duct([width] * 12)) == width


@pytest.mark.parametrize("throat", [1, 3, 5])
def test_the_narrowest_place_counts(throat: int) -> None:
    assert across(*duct([9] * 8 + [throat] * 3 + [11] * 8)) == throat


def test_an_even_width_of_four_counts_as_less_than_five_and_one_of_six_does_not() -> None:
    assert across(*duct([4] * 12, size=14)) < 5
    assert across(*duct([6] * 12, size=14)) >= 5


def test_openings_are_no_wall() -> None:
    mask, marks = duct([9] * 6)
    distance = wall_distance(mask, marks)
    np.testing.assert_array_equal(distance[1], distance[2])


def test_a_round_tube_of_five_voxels_passes() -> None:
    y, z = np.mgrid[-5:6, -5:6]
    mask = np.broadcast_to(np.hypot(y, z) <= 2.5, (12, 11, 11)).copy()
    marks = np.zeros(mask.shape, dtype=np.int16)
    marks[0][mask[0]], marks[-1][mask[-1]] = 2, 3
    mask[[0, -1]] = False
    assert across(mask, marks) == 5


def test_no_way_through_counts_as_none() -> None:
    assert across(*duct([9] * 5 + [0] + [9] * 5)) == 0
