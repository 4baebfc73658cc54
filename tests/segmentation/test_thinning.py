"""Thinning: the skeleton of scikit-image voxel by voxel, and the topology of the mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from skimage.morphology import skeletonize

from segmentation.lumens import draw, fork
from voxfield.segmentation.metrics._foreground import foreground
from voxfield.segmentation.metrics._topology import betti_numbers, label_components
from voxfield.segmentation.tree._thinning import NEIGHBOURS, judge, thin

masks = st.tuples(*[st.integers(2, 7)] * 3).flatmap(lambda shape: arrays(bool, shape))


slices = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(bool, (*shape, 1)))


def skeleton(mask: np.ndarray) -> np.ndarray:
    drawn = np.zeros(mask.shape, bool)
    drawn[tuple(thin(foreground(mask)).T)] = True
    return drawn


def random_mask(seed: int) -> np.ndarray:
    """Noise of every density, and blobs with tunnels and cavities."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        return rng.random((8, 9, 7)) < rng.uniform(0.05, 0.95)
    return gaussian_filter(rng.normal(size=(16, 14, 15)), 1) > rng.uniform(-0.2, 0.15)


def check(mask: np.ndarray) -> None:
    ours, theirs = skeleton(mask), skeletonize(np.pad(mask, 1), method="lee")[1:-1, 1:-1, 1:-1] > 0
    parts, count = label_components(mask)
    vanished = [part for part in range(1, count + 1) if not theirs[parts == part].any()]
    assert not (theirs & ~ours).any()
    assert sorted(parts[ours & ~theirs].tolist()) == vanished
    assert betti_numbers(ours) == betti_numbers(mask)


@settings(max_examples=60, deadline=None)
@given(masks)
def test_voxels_of_scikit_image_and_topology_of_the_mask(mask: np.ndarray) -> None:
    check(mask)


@settings(max_examples=100, deadline=None)
@given(slices, st.permutations(range(3)))
def test_a_slice_keeps_its_topology_and_becomes_thin(mask: np.ndarray, axes: list[int]) -> None:
    mask = mask.transpose(axes)
    found = skeleton(mask)
    assert not (found & ~mask).any()
    assert betti_numbers(found) == betti_numbers(mask)
    assert np.array_equal(skeleton(found), found)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6, 9])
def test_a_ribbon_in_a_slice_becomes_a_line(width: int) -> None:
    ribbon = np.zeros((60, 20, 1), bool)
    ribbon[5:55, 5 : 5 + width] = True
    found = np.argwhere(skeleton(ribbon))
    assert len(found) == np.ptp(found[:, 0]) + 1
    assert len(found) >= 50 - width


@pytest.mark.parametrize("seed", range(40))
def test_the_same_on_noise_and_blobs(seed: int) -> None:
    check(random_mask(seed))


def test_the_same_on_a_vessel() -> None:
    check(draw(fork(), np.array([0.5, 0.5, 0.8])).mask)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
def test_a_cube_keeps_its_component(side: int) -> None:
    found = skeleton(np.pad(np.ones((side,) * 3, bool), 1))
    assert betti_numbers(found) == (1, 0, 0)


def test_a_line_is_its_own_skeleton() -> None:
    line = np.zeros((9, 9, 9), bool)
    line[range(9), range(9), range(9)] = True
    assert np.array_equal(skeleton(line), line)


def test_verdicts_by_the_topology_of_the_neighbourhood() -> None:
    """A voxel is a candidate exactly where it has two neighbours or more and deleting it changes no Betti number."""
    codes = np.random.default_rng(0).integers(0, 1 << 26, 300)
    # Dense and sparse neighbourhoods too, which random bits do not give.
    codes = np.concatenate([codes, codes & np.roll(codes, 1) & np.roll(codes, 2), codes | np.roll(codes, 1)])
    for code, verdict in zip(codes.tolist(), judge(codes.astype(np.int32)).tolist(), strict=True):
        box = np.zeros((3, 3, 3), bool)
        for bit, (x, y, z) in enumerate(NEIGHBOURS):
            box[x + 1, y + 1, z + 1] = code >> bit & 1
        without = box.copy()
        box[1, 1, 1] = True
        # In the box of a voxel the neighbours see cavities and tunnels only through the voxel itself.
        simple = betti_numbers(box) == betti_numbers(without)
        assert bool(verdict & 4) == (simple and box.sum() > 2)


def test_nothing_has_no_skeleton() -> None:
    assert thin(foreground(np.zeros((4, 4, 4), bool))).shape == (0, 3)
