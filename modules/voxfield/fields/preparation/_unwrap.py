"""Whole turns that were lost: the wrap counts k of the phases psi + 2 pi k that make neighbours agree best.

Bioucas-Dias and Valadao, "Phase unwrapping via graph cuts" (IEEE Trans. Image Processing 16, 2007): with the convex
cost E(k) = sum over neighbours of w (difference of psi + 2 pi k)^2, k is a global minimum as soon as no set of voxels
lowers E by going up or down by one turn together. The best such set is a minimum cut (their section III): with
a = difference before the move, a pair costs V(a) where both or neither move, V(a + 2 pi) or V(a - 2 pi) where one does.
What we do differently: neighbours are those in space and in time, w is the smaller weight of the two voxels, and cuts
are confined to boxes around places where neighbours differ by more than half a turn, since everywhere else no move can
lower E; beyond the boxes k = 0. The result differs from the input by whole turns and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

TURN = 2 * np.pi
MARGIN = 2
"""Voxels (and frames) kept around places that may be wrapped."""
MOST_MOVES = 16
RESOLUTION = 200
"""Steps of the integer capacities of the cut to a unit of cost."""
AMBIGUOUS = 0.85 * np.pi
"""Difference of two neighbours above which one turn more would be nearly as likely."""


@dataclass(frozen=True)
class Pairs:
    """Neighbouring voxels that both have signal.

    first, second  (p,) indices into the flat volume
    weight         (p,)
    """

    first: Ints
    second: Ints
    weight: Floats


def unwrap(phase: Floats, weights: Floats, signal: Mask, *, cyclic: bool) -> Ints:
    """Wrap counts of one component.

    phase    (x, y, z, t) radians
    weights  (x, y, z)
    signal   (x, y, z) voxels whose phase means anything; the others keep 0
    cyclic   whether the last frame is followed by the first
    returns  (x, y, z, t) int64, turns to add
    """
    turns = np.zeros(phase.size, dtype=np.int64)
    pairs = neighbours(phase.shape, weights, signal, cyclic=cyclic)
    jumps = np.abs(phase.ravel()[pairs.first] - phase.ravel()[pairs.second]) > np.pi
    if jumps.any():
        places = np.concatenate([pairs.first[jumps], pairs.second[jumps]])
        active = (_around(phase.shape, places) & signal[..., None]).ravel()
        touched = active[pairs.first] | active[pairs.second]
        near = Pairs(pairs.first[touched], pairs.second[touched], pairs.weight[touched])
        for step in (1, -1):
            _move(turns, phase.ravel(), near, active, step)
    return turns.reshape(phase.shape)


def ambiguous(unwrapped: Floats, weights: Floats, signal: Mask, *, cyclic: bool) -> Mask:
    """Voxels (x, y, z, t) that differ from a neighbour by close to half a turn, or more."""
    pairs = neighbours(unwrapped.shape, weights, signal, cyclic=cyclic)
    flat = unwrapped.ravel()
    steep = np.abs(flat[pairs.second] - flat[pairs.first]) > AMBIGUOUS
    found = np.zeros(unwrapped.size, dtype=bool)
    found[pairs.first[steep]] = found[pairs.second[steep]] = True
    return found.reshape(unwrapped.shape)


def neighbours(shape: tuple[int, ...], weights: Floats, signal: Mask, *, cyclic: bool) -> Pairs:
    """Pairs along x, y, z and t of a volume (x, y, z, t)."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    held = np.broadcast_to(signal[..., None], shape)
    weight = np.broadcast_to(weights[..., None], shape)
    parts: list[tuple[Ints, Ints, Floats]] = []
    for axis, extent in enumerate(shape):
        ahead = np.arange(1, extent)
        if axis == 3 and cyclic and extent > 2:
            ahead = np.append(ahead, 0)
        here, there = np.arange(len(ahead)), ahead
        both = np.take(held, here, axis) & np.take(held, there, axis)
        least = np.minimum(np.take(weight, here, axis), np.take(weight, there, axis))
        parts.append((np.take(index, here, axis)[both], np.take(index, there, axis)[both], least[both]))
    first, second, pair_weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Pairs(first, second, pair_weight)


def _around(shape: tuple[int, ...], places: Ints) -> Mask:
    """Boxes around the places, with a margin; a wrapped core lies inside the box of its rim."""
    marked = np.zeros(shape, dtype=bool)
    marked.ravel()[places] = True
    spread = binary_dilation(marked, iterations=MARGIN)
    components, _ = label(spread)
    active = np.zeros(shape, dtype=bool)
    for box in find_objects(components):
        active[box] = True
    return active


def _move(turns: Ints, phase: Floats, pairs: Pairs, active: Mask, step: int) -> None:
    """Move sets of active voxels by one turn, as long as that lowers the cost."""
    for _ in range(MOST_MOVES):
        chosen = _best_set(phase + TURN * turns, pairs, active, step * TURN)
        if not chosen.any():
            return
        turns[chosen] += step


def _best_set(values: Floats, pairs: Pairs, active: Mask, turn: float) -> Mask:
    """The smallest set of active voxels whose move by `turn` lowers the cost most, by a minimum cut."""
    size, first, second = len(values), pairs.first, pairs.second
    before = values[first] - values[second]
    stay, up, down = (pairs.weight * np.square(before + t) for t in (0.0, turn, -turn))
    free = active[first] & active[second]
    # E = E(0, 0) + (up - stay) x_1 + (stay - up) x_2 + (up + down - 2 stay) (1 - x_1) x_2; a fixed voxel has x = 0
    alone = np.bincount(first, np.where(active[first], up - stay, 0.0), size)
    alone = alone + np.bincount(second, np.where(active[second], np.where(free, stay - up, down - stay), 0.0), size)
    nodes = np.flatnonzero(active)
    place = np.full(size, -1, dtype=np.int64)
    place[nodes] = np.arange(len(nodes))
    chosen = _cut(
        alone[nodes].astype(np.float64),
        place[first[free]],
        place[second[free]],
        np.asarray((up + down - 2 * stay)[free]),
    )
    result = np.zeros(size, dtype=bool)
    result[nodes[chosen]] = True
    return result


def _cut(alone: Floats, first: Ints, second: Ints, pairwise: Floats) -> Mask:
    """The smallest x in {0, 1}^n that minimises sum alone x + sum pairwise (1 - x_first) x_second."""
    count = len(alone)
    source, sink = count, count + 1
    cost, gain = np.flatnonzero(alone > 0), np.flatnonzero(alone < 0)
    rows = np.concatenate([first, np.full(len(cost), source), gain])
    columns = np.concatenate([second, cost, np.full(len(gain), sink)])
    capacity = np.rint(RESOLUTION * np.concatenate([pairwise, alone[cost], -alone[gain]])).astype(np.int32)
    graph = coo_array((capacity, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reaching = breadth_first_order(residual.T.tocsr(), sink, return_predecessors=False)
    moved = np.zeros(count + 2, dtype=bool)
    moved[reaching] = True
    return moved[:count]
