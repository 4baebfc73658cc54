"""Cheapest paths between components of a mask, all pairs of neighbours at once.

A path from one component to another pays the integral of -log p along its length (mm), by the trapezium rule
over voxels that meet at faces, and nothing inside a component. Dijkstra from all components together gives
every background voxel its nearest component; where two such regions touch, the two halves join to a path. The
spanning tree of these paths is a spanning tree of the complete graph of cheapest paths (Mehlhorn, Information
Processing Letters 27, 1988), so one search replaces one per pair.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from voxfield.segmentation.metrics._topology import Labels, Mask
from voxfield.segmentation.tree._skeleton import FACES, Floats, Ints, adjacency


class Link(NamedTuple):
    """The cheapest path between two components.

    first, second  component numbers, first < second
    cost           integral of -log p along the path, mm
    voxels         (n, 3) background voxels from `first` to `second`, face to face, no end voxels
    start, end     (3,) the component voxels at both ends
    """

    first: int
    second: int
    cost: float
    voxels: Ints
    start: Ints
    end: Ints

    def gap_mm(self, spacing: Floats) -> float:
        """Straight distance between the centres of the two end voxels."""
        return float(np.linalg.norm((self.end - self.start) * spacing))

    def length_mm(self, spacing: Floats) -> float:
        """Length of the path from face to face, between the centres of its two end voxels."""
        points = np.concatenate([self.start[None], self.voxels, self.end[None]]) * spacing
        return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def cheapest_links(terminals: Labels, cost: Floats, band: Mask, spacing: Floats, limit: float) -> list[Link]:
    """Cheapest link of every pair of components whose regions touch inside the band, cheapest first.

    terminals  (x, y, z) integer, component number or 0
    cost       (x, y, z) -log p at each voxel, >= 0
    band       (x, y, z) bool, where paths may run; components need not be in it
    limit      the largest total cost of a path, mm
    """
    voxels = np.argwhere(band | (terminals > 0))
    owner = terminals[tuple(voxels.T)].astype(np.int64)
    pairs, step = _steps(voxels, owner, cost, spacing)
    if not len(pairs) or not (owner == 0).any():
        return []
    graph = coo_array((step, (pairs[:, 0], pairs[:, 1])), shape=(len(voxels),) * 2).tocsr()
    # Either half of a path costs at most half of it, because each voxel belongs to its nearest component.
    distance, parent, source = dijkstra(
        graph,
        directed=False,
        indices=np.flatnonzero(owner),
        limit=limit / 2 * (1 + 1e-9),
        min_only=True,
        return_predecessors=True,
    )
    region = np.where(source >= 0, owner[np.maximum(source, 0)], 0)
    return _join(pairs, step, distance, region, parent, voxels, owner, limit)


def _steps(voxels: Ints, owner: Ints, cost: Floats, spacing: Floats) -> tuple[Ints, Floats]:
    """Face-to-face edges with what a step costs, without those inside or between components."""
    price = np.where(owner > 0, 0.0, cost[tuple(voxels.T)])
    pairs = adjacency(voxels, FACES)
    pairs = pairs[(owner[pairs] == 0).any(axis=1)]
    axis = np.abs(voxels[pairs[:, 0]] - voxels[pairs[:, 1]]).argmax(axis=1)
    # A zero would be "no edge" to scipy; the floor also makes the shorter of two free paths the cheaper one.
    return pairs, np.maximum(price[pairs].mean(axis=1), 1e-6) * spacing[axis]


def _join(
    pairs: Ints,
    step: Floats,
    distance: Floats,
    region: Ints,
    parent: Ints,
    voxels: Ints,
    owner: Ints,
    limit: float,
) -> list[Link]:
    sides = region[pairs]
    meet = (sides > 0).all(axis=1) & (sides[:, 0] != sides[:, 1])
    pairs, sides = pairs[meet], sides[meet]
    total = distance[pairs].sum(axis=1) + step[meet]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], total))
    links: dict[tuple[int, int], Link] = {}
    for row in order:
        if not total[row] <= limit:
            break
        a, b = (pairs[row] if sides[row, 0] < sides[row, 1] else pairs[row, ::-1]).tolist()
        key = (int(region[a]), int(region[b]))
        if key not in links:
            chain = np.array(_trace(a, parent)[::-1] + _trace(b, parent))
            path = voxels[chain]
            inner = path[owner[chain] == 0]
            links[key] = Link(*key, float(total[row]), inner, path[0], path[-1])
    return list(links.values())


def _trace(node: int, parent: Ints) -> list[int]:
    """The nodes from `node` to its source."""
    chain = [node]
    while parent[chain[-1]] >= 0:
        chain.append(int(parent[chain[-1]]))
    return chain


def negative_log(probability: Floats, floor: float) -> Floats:
    """-log p with p kept in [floor, 1]; NaN counts as floor."""
    return np.asarray(-np.log(np.clip(np.nan_to_num(probability, nan=floor), floor, 1.0)))


def shifted(links: list[Link], box: tuple[slice, slice, slice]) -> list[Link]:
    """Links found inside a box, in the voxels of the whole grid."""
    origin = np.array([s.start for s in box])
    return [
        link._replace(voxels=link.voxels + origin, start=link.start + origin, end=link.end + origin) for link in links
    ]
