"""A skeleton as a forest of branches: loops broken, spurs pruned, rooted at an end.

A spanning forest of the skeleton's voxels breaks every loop, and with edge weights length / radius it breaks
each at its thinnest place. Cycles of a few voxels at a junction are no loops; an edge that the forest leaves
out counts as one where its ends lie more than `LOOP_STEPS` steps apart in the forest. Loops are anatomy
(circle of Willis) and are reported, not mended.

A spur is an end branch that leaves the largest ball around its junction by less than `spur_ratio` of that
ball's radius (and of 1.5 voxels): thinning leaves such branches wherever the wall is rough. The least of them
goes first, so that of the two prongs at a blunt end one survives as the end.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from voxfield.segmentation.metrics._foreground import foreground
from voxfield.segmentation.metrics._topology import Mask
from voxfield.segmentation.tree._skeleton import (
    Floats,
    Ints,
    adjacency,
    edge_lengths,
    spanning_edges,
)
from voxfield.segmentation.tree._thinning import thin

LOOP_STEPS = 8
LEAST_SPUR_VOXELS = 1.5
THIN_VOXELS = 2.0
TIP_VOXELS = 8


class Graph(NamedTuple):
    """A forest over skeleton voxels.

    points      (n, 3) mm
    inner       (n,) radius of the largest ball in the lumen around each point, mm
    neighbours  for each node, its neighbours in the forest
    loops       (l, 2) nodes that a loop would join, where the forest broke it
    broken      all nodes beside such a place
    """

    points: Floats
    inner: Floats
    neighbours: list[list[int]]
    loops: Ints
    broken: frozenset[int]


class Path(NamedTuple):
    """A branch of a rooted forest: `nodes` from its junction (or the root) to its far end; `parent` -1 at a root."""

    nodes: list[int]
    parent: int


def skeleton_graph(mask: Mask, inner: Floats, spacing: Floats) -> Graph:
    """Thin a (x, y, z) mask, given the distance to its wall in mm, and span a forest over the skeleton."""
    voxels = thin(foreground(mask))
    radius = inner[tuple(voxels.T)].astype(np.float64)
    pairs = adjacency(voxels)
    length = edge_lengths(voxels, pairs, spacing)
    kept = spanning_edges(len(voxels), pairs, length / np.minimum(*radius[pairs].T))
    neighbours: list[list[int]] = [[] for _ in range(len(voxels))]
    for a, b in kept.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    loops, broken = _loops(voxels, pairs, kept, neighbours)
    return Graph(voxels * spacing, radius, neighbours, loops, broken)


def _loops(voxels: Ints, pairs: Ints, kept: Ints, neighbours: list[list[int]]) -> tuple[Ints, frozenset[int]]:
    """Pairs left out of the forest whose ends are far apart in it, one for each broken place; and all of them."""
    edges = {(min(e), max(e)) for e in kept.tolist()}
    left_out = sorted({(min(e), max(e)) for e in pairs.tolist()} - edges)
    far = [(a, b) for a, b in left_out if not _near(a, b, neighbours)]
    chosen = np.array(far, np.int64).reshape(-1, 2)
    return chosen[_one_a_place(voxels[chosen])], frozenset(chosen.ravel().tolist())


def _one_a_place(ends: Ints) -> Mask:
    """Which pairs of voxels (n, 2, 3) are the first of those whose ends lie within two voxels of theirs."""
    kept = np.zeros(len(ends), bool)
    if not len(ends):
        return kept
    tree = cKDTree(ends[:, 0])
    beside = zip(*(tree.query_ball_point(ends[:, side], 2, p=np.inf) for side in (0, 1)), strict=True)
    for number, (same, turned) in enumerate(beside):
        here = ends[number]
        known = any(kept[k] and np.abs(ends[k] - here).max() <= 2 for k in same)
        kept[number] = not (known or any(kept[k] and np.abs(ends[k] - here[::-1]).max() <= 2 for k in turned))
    return kept


def _near(a: int, b: int, neighbours: list[list[int]]) -> bool:
    """Whether b can be reached from a in LOOP_STEPS steps of the forest."""
    front, seen = [a], {a}
    for _ in range(LOOP_STEPS):
        front = [n for node in front for n in neighbours[node] if n not in seen]
        if b in front:
            return True
        seen.update(front)
    return False


def prune(graph: Graph, spur_ratio: float, voxel_mm: float) -> Graph:
    """Remove spurs, the least first, until none is left."""
    neighbours = [list(n) for n in graph.neighbours]
    least = LEAST_SPUR_VOXELS * voxel_mm
    while True:
        weakest: dict[int, tuple[float, list[int]]] = {}
        for leaf in [n for n, near in enumerate(neighbours) if len(near) == 1]:
            chain = _to_junction(leaf, neighbours)
            junction = chain[-1]
            if len(neighbours[junction]) < 3:
                continue
            beyond = _length(graph.points[chain]) + graph.inner[leaf] - graph.inner[junction]
            if beyond < max(least, spur_ratio * graph.inner[junction]):
                weakest[junction] = min(weakest.get(junction, (np.inf, [])), (float(beyond), chain))
        if not weakest:
            return graph._replace(neighbours=neighbours)
        for _, chain in weakest.values():
            neighbours[chain[-1]].remove(chain[-2])
            for node in chain[:-1]:
                neighbours[node] = []


def _to_junction(leaf: int, neighbours: list[list[int]]) -> list[int]:
    """Nodes from a leaf to the first node that does not have two neighbours."""
    chain = [leaf, neighbours[leaf][0]]
    while len(neighbours[chain[-1]]) == 2:
        a, b = neighbours[chain[-1]]
        chain.append(b if a == chain[-2] else a)
    return chain


def _length(points: Floats) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def reach_tips(graph: Graph, lumen: Mask, spacing: Floats) -> Graph:
    """Carry thin ends on to the last voxel of the lumen.

    Thinning eats vessels of two voxels width from their ends, by up to several diameters. From a leaf thinner
    than `THIN_VOXELS` the shortest way through the voxels that lie nearest to this leaf leads to the
       farthest.
    """
    alive = np.flatnonzero([len(near) > 0 for near in graph.neighbours])
    thin = [n for n in alive.tolist() if len(graph.neighbours[n]) == 1 and n not in graph.broken]
    thin = [n for n in thin if graph.inner[n] < THIN_VOXELS * spacing.max()]
    if not thin:
        return graph
    tree = cKDTree(graph.points[alive])
    points, inner = [graph.points], [graph.inner]
    neighbours = [list(near) for near in graph.neighbours]
    for leaf in thin:
        way = _way_to_tip(graph.points[leaf], int(np.searchsorted(alive, leaf)), tree, lumen, spacing)
        if not len(way):
            continue
        fresh = list(range(len(neighbours), len(neighbours) + len(way)))
        points.append(way)
        inner.append(np.repeat(graph.inner[leaf], len(way)))
        neighbours[leaf].append(fresh[0])
        neighbours += [[leaf if k == 0 else n - 1, n + 1] for k, n in enumerate(fresh)]
        neighbours[-1].pop()
    return graph._replace(points=np.concatenate(points), inner=np.concatenate(inner), neighbours=neighbours)


def _way_to_tip(leaf: Floats, place: int, tree: cKDTree, lumen: Mask, spacing: Floats) -> Floats:
    """Points (k, 3) in mm from behind the leaf to the farthest voxel of its own region; none within a voxel."""
    centre = np.rint(leaf / spacing).astype(int)
    low = np.maximum(centre - TIP_VOXELS, 0)
    voxels = np.argwhere(lumen[tuple(slice(a, c + TIP_VOXELS + 1) for a, c in zip(low, centre, strict=True))]) + low
    own = voxels[tree.query(voxels * spacing)[1] == place]
    start = np.flatnonzero((own == centre).all(axis=1))
    pairs = adjacency(own)
    if not len(start) or not len(pairs):
        return np.zeros((0, 3))
    graph = coo_array((edge_lengths(own, pairs, spacing), (pairs[:, 0], pairs[:, 1])), shape=(len(own),) * 2)
    found, trail = dijkstra(graph.tocsr(), directed=False, indices=start[:1], return_predecessors=True)
    distance, before = found[0], trail[0]
    distance[np.isinf(distance)] = -1
    node, way = int(distance.argmax()), []
    while before[node] >= 0:
        way.append(own[node] * spacing)
        node = int(before[node])
    return np.array(way[::-1]).reshape(-1, 3)


def trees_of(graph: Graph) -> list[Ints]:
    """Nodes of each tree; a node without neighbours is a tree only where nothing else is left of its component."""
    links = [(a, b) for a, near in enumerate(graph.neighbours) for b in near]
    pairs = np.array(links, np.int64).reshape(-1, 2)
    count = len(graph.points)
    adjacent = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    number, label = connected_components(adjacent, directed=False)
    members = [np.flatnonzero(label == k) for k in range(number)]
    return [m for m in members if len(m) > 1]


def leaves_of(graph: Graph, tree: Ints) -> list[int]:
    """End nodes of a tree."""
    return [int(node) for node in tree if len(graph.neighbours[node]) == 1]


def end_chain(graph: Graph, leaf: int) -> tuple[Floats, Floats]:
    """Points (n, 3) mm of a branch up to a leaf, and their inner radii, without the ball of its junction."""
    chain = _to_junction(leaf, graph.neighbours)[::-1]
    place, inner = graph.points[chain], graph.inner[chain]
    own = np.linalg.norm(place - place[0], axis=1) > inner[0]
    if len(graph.neighbours[chain[0]]) < 3 or int(own.sum()) < 3:
        own[:] = True
    return place[own], inner[own]


def rooted_paths(graph: Graph, root: int, merge: float) -> list[Path]:
    """Branches of the tree of `root`, parents first.

    merge  inner branches shorter than this part of the radius at their junction belong to the junction, so
           that a trifurcation is one place and not two
    """
    paths: list[Path] = []
    waiting = [([root], -1, -1)]  # nodes from a junction on, the node before them, the branch that ends there
    while waiting:
        stem, before, parent = waiting.pop(0)
        for first in graph.neighbours[stem[-1]]:
            if first == before:
                continue
            nodes = [*stem, first]
            while len(graph.neighbours[nodes[-1]]) == 2:
                a, b = graph.neighbours[nodes[-1]]
                nodes.append(b if a == nodes[-2] else a)
            at_end = len(graph.neighbours[nodes[-1]]) == 1
            if parent >= 0 and not at_end and _length(graph.points[nodes]) < merge * graph.inner[nodes[0]]:
                waiting.append((nodes, nodes[-2], parent))
                continue
            paths.append(Path(nodes, parent))
            if not at_end:
                waiting.append(([nodes[-1]], nodes[-2], len(paths) - 1))
    return paths
