"""Neighbours against all distances."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from voxfield.fields._neighbours import contiguous_blocks, earlier_neighbours, grouped, nearest, spread_blocks

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, points=st.integers(0, 12), targets=st.integers(0, 5), count=st.integers(0, 6))
def test_the_nearest_points_come_first_and_none_is_none(seed: int, points: int, targets: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    here, there = rng.standard_normal((points, 3)), rng.standard_normal((targets, 3))
    distance, number = nearest(cKDTree(here), there, count)
    every = np.sort(cdist(there, here), axis=1)[:, :count]
    wanted = np.pad(every, ((0, 0), (0, count - every.shape[1])), constant_values=np.inf)
    np.testing.assert_allclose(distance, wanted, rtol=1e-12)
    np.testing.assert_array_equal(number < 0, np.isinf(wanted))
    found = np.linalg.norm(here[number[number >= 0]] - np.repeat(there, (number >= 0).sum(axis=1), axis=0), axis=1)
    np.testing.assert_allclose(found, distance[number >= 0], rtol=1e-12)


@given(seed=SEEDS, size=st.integers(1, 200), count=st.integers(1, 4))
def test_earlier_neighbours_are_earlier_and_the_first_group_has_none(seed: int, size: int, count: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 6, (size, 3))
    groups = grouped(np.floor(points).astype(np.int64))
    members = groups >= 0
    np.testing.assert_array_equal(np.sort(groups[members]), np.arange(size))
    rank = np.empty(size, dtype=np.int64)
    rank[groups[members]] = np.nonzero(members)[0]
    near = earlier_neighbours(points, groups, count)
    held = near >= 0
    assert (rank[near[held]] < np.nonzero(held)[0]).all()
    before = np.cumsum(members.sum(axis=1)) - members.sum(axis=1)
    assert (held.sum(axis=1) <= np.minimum(before, count)).all()


@given(seed=SEEDS, size=st.integers(1, 200), most=st.integers(1, 40), count=st.integers(1, 5))
def test_blocks_hold_every_point_once(seed: int, size: int, most: int, count: int) -> None:
    places = np.random.default_rng(seed).standard_normal((size, 3))
    blocks = contiguous_blocks(places, most)
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.arange(size))
    assert max(map(len, blocks)) <= most
    some = spread_blocks(places, most, count)
    assert len(some) == min(count, len(blocks))
    assert all(any(np.array_equal(one, block) for block in blocks) for one in some)
