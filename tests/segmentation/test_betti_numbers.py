"""Betti numbers against hand cases and scikit-image's Euler number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_fill_holes
from skimage.measure import euler_number

from voxfield.segmentation.metrics._topology import (
    betti_numbers,
    bounding_box,
    count_components,
    euler_characteristic,
    fill_cavities,
)

masks = st.tuples(*[st.integers(1, 6)] * 3).flatmap(lambda shape: arrays(bool, shape))


def ring() -> np.ndarray:
    mask = np.ones((3, 3, 1), bool)
    mask[1, 1] = False
    return mask


def shell() -> np.ndarray:
    mask = np.ones((3, 3, 3), bool)
    mask[1, 1, 1] = False
    return mask


def corner() -> np.ndarray:
    mask = np.zeros((2, 2, 2), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.zeros((3, 3, 3), bool), (0, 0, 0)),
        (np.ones((1, 1, 1), bool), (1, 0, 0)),
        (ring(), (1, 1, 0)),
        (shell(), (1, 0, 1)),
        (corner(), (1, 0, 0)),
        (np.concatenate([ring(), np.zeros((1, 3, 1), bool), ring()]), (2, 2, 0)),
    ],
)
def test_hand_cases(mask: np.ndarray, expected: tuple[int, int, int]) -> None:
    assert betti_numbers(mask) == expected


def test_a_corner_joins_at_26_and_not_at_6() -> None:
    assert count_components(corner(), 26) == 1
    assert count_components(corner(), 6) == 2


@settings(max_examples=60, deadline=None)
@given(masks)
def test_euler_characteristic_as_in_scikit_image(mask: np.ndarray) -> None:
    assert euler_characteristic(mask) == euler_number(np.pad(mask, 1), connectivity=3)


@settings(max_examples=60, deadline=None)
@given(masks)
def test_betti_numbers_do_not_depend_on_where_the_mask_lies(mask: np.ndarray) -> None:
    found = betti_numbers(mask)
    assert min(found) >= 0
    assert betti_numbers(np.pad(mask, ((2, 0), (0, 3), (1, 1)))) == found
    assert betti_numbers(mask.transpose(2, 0, 1)[::-1]) == found


@settings(max_examples=60, deadline=None)
@given(masks)
def test_filling_leaves_no_cavity_and_takes_nothing_away(mask: np.ndarray) -> None:
    filled = fill_cavities(mask)
    assert betti_numbers(filled).cavities == 0
    assert (filled == binary_fill_holes(mask)).all()


def test_a_dent_in_a_face_of_the_volume_is_no_cavity() -> None:
    """Small boxes whose faces hold background: fill_voids by itself fills some of it."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        mask = rng.random(rng.integers(2, 9, 3)) < rng.uniform(0.5, 0.95)
        assert (fill_cavities(mask) == binary_fill_holes(mask)).all()


def test_bounding_box_stays_inside_the_volume() -> None:
    mask = np.zeros((5, 6, 7), bool)
    mask[0, 2, 6] = True
    assert bounding_box(mask, 2) == (slice(0, 3), slice(0, 5), slice(4, 7))
