"""Vessels of a centerline: branches joined past their side branches, so that a twig does not end a vessel.

At a fork the widest child goes on as the same vessel where every other is at most `SIDE` times as wide: by Murray's
law (r0^3 = r1^3 + r2^3) a side branch of half the radius takes 4 % of the calibre. Any other fork is a division,
where all children begin. A bridge ends a vessel too, and is told apart: across it nothing was measured.

A radius counts where the section is the vessel's own: outside the ball around each fork, and at least a radius away
from a bridge, whose mouths are what the gap left of the lumen, and from an end, where a face cuts the section or the
lumen closes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Centerline
from voxfield.segmentation.tree._nodes import distance_along
from voxfield.segmentation.tree._skeleton import Floats, Ints

SIDE = 0.5
CALIBRE_RADII = 8
MOUTH_NODES = 10
BRIDGE = 7


class Vessel(NamedTuple):
    """A vessel, or a bridge.

    nodes     from its beginning to its end, away from the root
    from_root (n,) length of the way from the root, mm
    clear     (n,) whose radius counts
    above     vessel from which it comes, -1 for none
    division  whether it begins where the vessel above divides
    bridge    whether it is a bridge
    """

    nodes: Ints
    from_root: Floats
    clear: NDArray[np.bool_]
    above: int
    division: bool
    bridge: bool


def vessels_of(line: Centerline) -> list[Vessel]:
    """All vessels and bridges, parents first."""
    children: list[list[int]] = [[] for _ in range(len(line))]
    for node, parent in enumerate(line.parents.tolist()):
        if parent >= 0:
            children[parent].append(node)
    clear = _clear(line, children)
    roots = np.flatnonzero(line.parents < 0).tolist()
    waiting = [(root, -1, False, 0.0) for root in roots]
    found: list[Vessel] = []
    while waiting:
        first, above, division, start = waiting.pop(0)
        nodes, ends = _followed(line, children, first)
        way = start + distance_along(line.points[nodes])
        own = clear[nodes]
        found.append(Vessel(nodes, way, own, above, division, bool(line.kinds[first] == BRIDGE)))
        for child, at, divides in ends:
            step = float(np.linalg.norm(line.points[child] - line.points[at]))
            waiting.append((child, len(found) - 1, divides, float(way[np.flatnonzero(nodes == at)[0]]) + step))
    return found


def _followed(line: Centerline, children: list[list[int]], first: int) -> tuple[Ints, list[tuple[int, int, bool]]]:
    """Nodes of the vessel that begins at `first`, and what begins along it: (node, node before, by a division)."""
    nodes, begins = [first], list[tuple[int, int, bool]]()
    bridge = line.kinds[first] == BRIDGE
    while True:
        here = nodes[-1]
        ahead = children[here]
        width = [_calibre(line, children, here, child) for child in ahead]
        order = np.argsort(width)[::-1].tolist()
        if not ahead:
            return np.array(nodes, np.int64), begins
        best = ahead[order[0]]
        divides = len(ahead) > 1 and width[order[1]] > SIDE * width[order[0]]
        if divides or (line.kinds[best] == BRIDGE) != bridge:
            return np.array(nodes, np.int64), begins + [(child, here, divides) for child in ahead]
        begins += [(ahead[k], here, False) for k in order[1:]]
        nodes.append(best)


def _calibre(line: Centerline, children: list[list[int]], fork: int, child: int) -> float:
    """Median radius of a child over the next radii of the fork beyond its ball; 0 where nothing is known."""
    if len(children[fork]) == 1:
        return 1.0
    ball = float(np.nan_to_num(line.radii[fork]))
    found, node, way = list[float](), child, float(np.linalg.norm(line.points[child] - line.points[fork]))
    while way <= (1 + CALIBRE_RADII) * ball:
        if way >= ball and np.isfinite(line.radii[node]):
            found.append(float(line.radii[node]))
        if len(children[node]) != 1:
            break
        following = children[node][0]
        way += float(np.linalg.norm(line.points[following] - line.points[node]))
        node = following
    return float(np.median(found)) if found else float(np.nan_to_num(line.radii[node]))


def _clear(line: Centerline, children: list[list[int]]) -> NDArray[np.bool_]:
    """Nodes (n,) with a section of their own."""
    clear = np.asarray(np.isfinite(line.radii) & (line.radii > 0) & (line.kinds != BRIDGE))
    places = [(node, float(line.radii[node])) for node, ahead in enumerate(children) if len(ahead) > 1]
    bridge = line.kinds == BRIDGE
    for node in np.flatnonzero((line.parents >= 0) & (bridge != bridge[line.parents])).tolist():
        places += [(end, _widest_near(line, children, end)) for end in (node, int(line.parents[node]))]
    ends = [node for node, ahead in enumerate(children) if not ahead or line.parents[node] < 0]
    places += [(end, _widest_near(line, children, end)) for end in ends]
    for node, reach in places:
        if np.isfinite(reach):
            clear &= np.linalg.norm(line.points - line.points[node], axis=1) > reach
    return clear


def _widest_near(line: Centerline, children: list[list[int]], node: int) -> float:
    """The largest radius within `MOUTH_NODES` steps, for the lumen tapers towards a bridge; NaN where none is known."""
    up, down = [node], [node]
    for _ in range(MOUTH_NODES):
        up += [int(line.parents[up[-1]])] if line.parents[up[-1]] >= 0 else []
        down += children[down[-1]][:1]
    radii = line.radii[up + down]
    return float(np.nanmax(radii)) if np.isfinite(radii).any() else float("nan")
