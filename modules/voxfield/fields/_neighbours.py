"""Neighbours of points, neighbours that come earlier in an order, and contiguous blocks.

Conditioning sets of Vecchia's approximation (see `_vecchia`) and blocks of composite likelihoods (see `_evidence`), in
a lumen, on a manifold and on scattered points alike. A set has a fixed width and holds -1 for none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Real = NDArray[np.float64]
Int = NDArray[np.int64]


def nearest(tree: cKDTree, targets: Real, count: int) -> tuple[Real, Int]:
    """Distances and numbers (n, count) of the nearest points of a tree, the nearest first; inf and -1 for none."""
    distance, number = np.full((len(targets), count), np.inf), np.full((len(targets), count), -1, dtype=np.int64)
    asked = min(count, tree.n)
    if asked:
        distance[:, :asked], number[:, :asked] = tree.query(targets, k=list(range(1, asked + 1)))
    return distance, number


def grouped(key: Int) -> Int:
    """Points with equal keys as groups, (groups, most), -1 for none; groups in the order of their first points.

    key  (n, d) integers
    """
    _, first, member = np.unique(key, axis=0, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[member.ravel()]
    order = np.argsort(place, kind="stable")
    start = np.searchsorted(place[order], np.arange(len(first) + 1))
    groups = np.full((len(first), int(np.diff(start).max(initial=0))), -1, dtype=np.int64)
    groups[place[order], np.arange(len(key)) - start[place[order]]] = order
    return groups


def earlier_neighbours(points: Real, groups: Int, count: int) -> Int:
    """The nearest points of earlier groups to the middle of every group, (groups, count); -1 for none.

    Looked for among the 5 `count` nearest points of about as many groups again, which now and then hold fewer.
    """
    members = groups >= 0
    rank = groups[members]  # points by group
    ends = np.cumsum(members.sum(axis=1))
    starts = np.concatenate([[0], ends[:-1]])
    sorted_points = points[rank]
    middle = np.add.reduceat(sorted_points, starts, axis=0) / members.sum(axis=1)[:, None]
    found = np.full((len(groups), count), -1, dtype=np.int64)
    done = 0
    while done < len(groups):
        # trees over the first 2^k groups; of 5 times as many neighbours, enough are mostly earlier
        stop = min(max(2 * done, int(np.searchsorted(ends, 4 * count)) + 1), len(groups))
        asked = min(int(ends[stop - 1]), 5 * count)
        near = nearest(cKDTree(sorted_points[: ends[stop - 1]]), middle[done:stop], asked)[1]
        earlier = near < starts[done:stop, None]
        order = np.argsort(np.where(earlier, np.arange(asked), asked), axis=1, kind="stable")[:, :count]
        kept = np.take_along_axis(near, order, 1)
        found[done:stop, : kept.shape[1]] = np.where(np.take_along_axis(earlier, order, 1), rank[kept], -1)
        done = stop
    return found


def contiguous_blocks(places: Real, most: int) -> list[Int]:
    """Cut points (n, 3) into boxes of at most `most` points, halving along the longest side."""

    def cut(members: Int) -> list[Int]:
        if len(members) <= most:
            return [members]
        axis = int(np.argmax(np.ptp(places[members], axis=0)))
        order = members[np.argsort(places[members, axis], kind="stable")]
        return [*cut(order[: len(order) // 2]), *cut(order[len(order) // 2 :])]

    return cut(np.arange(len(places)))


def spread_blocks(places: Real, most: int, count: int) -> list[Int]:
    """At most `count` of the contiguous blocks of at most `most` points, evenly taken."""
    every = contiguous_blocks(places, most)
    chosen = np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(np.int64))
    return [every[index] for index in chosen]
