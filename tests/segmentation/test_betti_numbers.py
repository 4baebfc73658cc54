"""Betti numbers against hand cases, an exact homology by ranks, scikit-image's Euler number and cc3d's counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_fill_holes
from skimage.measure import euler_number

from segmentation.homology import betti_by_rank
from voxfield.segmentation.metrics._cells import euler_characteristic, mixed_cells
from voxfield.segmentation.metrics._foreground import Foreground, foreground
from voxfield.segmentation.metrics._runs import count_background, largest_component, without_cavities
from voxfield.segmentation.metrics._topology import (
    betti_numbers,
    bounding_box,
    count_components,
    fill_cavities,
    label_components,
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
    assert euler_characteristic(mixed_cells(foreground(mask))) == euler_number(np.pad(mask, 1), connectivity=3)


@settings(max_examples=60, deadline=None)
@given(masks, st.floats(0.1, 0.9), st.integers(0, 10_000))
def test_betti_numbers_as_by_rank(mask: np.ndarray, share: float, seed: int) -> None:
    # Hypothesis alone rarely draws tunnels and cavities; random volumes of every density have them.
    for volume in (mask, np.random.default_rng(seed).random((5, 4, 5)) < share):
        assert betti_numbers(volume) == betti_by_rank(volume)


def test_the_rank_itself_on_a_torus_and_a_sphere() -> None:
    assert betti_by_rank(ring()) == (1, 1, 0)
    assert betti_by_rank(shell()) == (1, 0, 1)
    # The surface of a torus: the ring of voxels around a hollow ring.
    solid = np.ones((7, 7, 3), bool)
    solid[3, 3] = False
    solid[1:6, 1:6, 1] = False
    solid[2:5, 2:5, 1] = True
    solid[3, 3] = False
    assert betti_by_rank(solid) == (1, 2, 1)


def test_betti_numbers_as_in_gudhi() -> None:
    gudhi = pytest.importorskip("gudhi")
    for seed in range(4):
        mask = np.random.default_rng(seed).random((9, 8, 7)) < (0.2, 0.4, 0.7, 0.9)[seed]
        complex_ = gudhi.CubicalComplex(top_dimensional_cells=np.where(mask, 0.0, 1.0))
        complex_.compute_persistence()
        assert betti_numbers(mask) == tuple(complex_.persistent_betti_numbers(0, 0.5))[:3]


@settings(max_examples=60, deadline=None)
@given(masks, st.sampled_from([6, 18, 26]))
def test_components_as_in_cc3d(mask: np.ndarray, connectivity: int) -> None:
    assert count_components(mask, connectivity) == label_components(mask, connectivity)[1]
    outside = label_components(~np.pad(mask, 1), connectivity)[1]
    assert count_background(foreground(mask), connectivity) == outside


@settings(max_examples=60, deadline=None)
@given(masks)
def test_largest_component_and_filled_cavities_of_a_list_of_voxels(mask: np.ndarray) -> None:
    assert np.array_equal(drawn(without_cavities(foreground(mask)), mask.shape), fill_cavities(mask))
    if mask.any():
        labels, _ = label_components(mask, 6)
        largest = drawn(largest_component(foreground(mask), 6), mask.shape)
        assert largest.sum() == np.bincount(labels[mask]).max()
        assert count_components(largest, 6) == 1
        assert not (largest & ~mask).any()


def drawn(voxels: Foreground, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(voxels.voxels(voxels.places).T)] = True
    return mask


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
