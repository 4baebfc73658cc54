"""Branches of a traced forest with their measures.

A branch ends at a junction, at an end, and where a bridge begins or ends: a bridge is a branch of its own,
without a radius. Generations count junctions from the root (0), not bridges.

Measures use the nodes with a clear section: none inside the ball of a junction, on a bridge or within a
radius of one, and none beyond the plane at which an open end is cut. Stenosis follows NASCET (N Engl J Med
325, 1991): 1 - d_min / d_distal. The throat is the narrowest node with at least a radius of clear branch
beyond it. d_distal is the median over the nodes at least a radius beyond the throat whose walls run parallel
(|dr/ds| <= `PARALLEL`); where a junction comes before the walls do, it is the widest node there, and the
stenosis a lower bound. A branch without such nodes, and a bridge, has no stenosis: it is not defined there,
not zero. A radius is the median radius of the branch.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxfield.segmentation.tree._nodes import Nodes, distance_along
from voxfield.segmentation.tree._skeleton import Floats, Ints

PARALLEL = 0.1
FEWEST_NODES = 3


class Branch(NamedTuple):
    """A row of the branch table; lengths and radii in mm, None where nothing was measured.

    row     nodes from the proximal to the distal end, the first shared with the parent
    """

    row: Ints
    parent: int
    generation: int
    length: float
    mean: float | None
    least: float | None
    distal: float | None
    stenosis: float | None
    bridge: bool


def split_branches(nodes: Nodes, on_bridge: NDArray[np.bool_]) -> list[tuple[Ints, int, int, bool]]:
    """Rows of nodes cut where bridges begin and end: (row, parent, generation, bridge), parents first."""
    pieces: list[tuple[Ints, int, int, bool]] = []
    last_piece: dict[int, int] = {}
    for number, row in enumerate(nodes.rows):
        above = int(nodes.above[number])
        parent = last_piece[above] if above >= 0 else -1
        generation = pieces[parent][2] + 1 if above >= 0 else 0
        # The node at a junction belongs to the parent, so it does not decide what this branch is.
        state = on_bridge[row].copy()
        if len(row) > 1:
            state[0] = state[1]
        turns = [0, *(np.flatnonzero(state[1:] != state[:-1]) + 1).tolist(), len(row)]
        for begin, end in pairwise(turns):
            piece = row[max(begin - 1, 0) : end]
            pieces.append((piece, parent, generation, bool(state[begin])))
            parent = len(pieces) - 1
        last_piece[number] = parent
    return pieces


def measure(nodes: Nodes, radius: Floats, clear: NDArray[np.bool_], on_bridge: NDArray[np.bool_]) -> list[Branch]:
    """Branches with their measures; `clear` (n,) tells whose radius may be used."""
    branches = []
    for row, parent, generation, bridge in split_branches(nodes, on_bridge):
        along = distance_along(nodes.points[row])
        usable = clear[row] & ~_near_bridge(along, radius[row], on_bridge[row])
        branches.append(_measured(row, parent, generation, bridge, along, radius[row], usable))
    return branches


def _near_bridge(along: Floats, radius: Floats, on_bridge: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes within a radius of a bridge, where the end of the lumen is what the gap left of it."""
    near = on_bridge.copy()
    if on_bridge.any() and not on_bridge.all():
        reach = float(np.nanmedian(radius))
        near |= np.abs(along[:, None] - along[on_bridge]).min(axis=1) <= reach
    return near


def _measured(
    row: Ints, parent: int, generation: int, bridge: bool, along: Floats, radius: Floats, usable: NDArray[np.bool_]
) -> Branch:
    length = float(along[-1])
    if bridge:
        return Branch(row, parent, generation, length, None, None, None, None, True)
    known = usable if usable.any() else np.isfinite(radius)
    if not known.any():
        return Branch(row, parent, generation, length, None, None, None, None, False)
    mean, least = float(radius[known].mean()), float(radius[known].min())
    distal, stenosis = nascet(along[usable], radius[usable])
    if distal is None:
        # Too short for NASCET: the far third stands for the distal calibre, but not for a grade of stenosis.
        far = known & (along >= along[known].max() - length / 3)
        distal = float(np.median(radius[far]))
    return Branch(row, parent, generation, length, mean, least, distal, stenosis, False)


def nascet(along: Floats, radius: Floats) -> tuple[float | None, float | None]:
    """Distal radius, mm, and 1 - d_min / d_distal of a branch, from arc length and radius (n,); None if undefined."""
    if len(along) < FEWEST_NODES:
        return None, None
    typical = float(np.median(radius))
    before = np.flatnonzero(along <= along[-1] - typical)
    if not len(before):
        return None, None
    throat = int(before[radius[before].argmin()])
    # Slopes over a radius, so that noise of a tenth of a voxel does not look like a taper.
    window = max(1, round(typical / max(float(np.median(np.diff(along))), 1e-9) / 2))
    low = np.maximum(np.arange(len(along)) - window, 0)
    high = np.minimum(np.arange(len(along)) + window, len(along) - 1)
    slope = (radius[high] - radius[low]) / np.maximum(along[high] - along[low], 1e-9)
    beyond = along >= along[throat] + typical
    parallel = beyond & (np.abs(slope) <= PARALLEL)
    enough = int(parallel.sum()) >= FEWEST_NODES
    distal = float(np.median(radius[parallel])) if enough else float(radius[beyond].max())
    return distal, max(0.0, 1 - float(radius[throat]) / distal)
