"""Centerline nodes of a forest and their smoothing.

Nodes X minimise, over the whole forest at once,

    sum_i w_i h_i |X_i - Y_i|^2  +  sum_i L_i^4 h_i |X''_i|^2,

the discrete smoothing spline (Whittaker 1923, Reinsch 1967) with data Y, weights w, steps h and a length L:
waves shorter than 2 pi L are removed, longer ones stay. X'' runs within each branch and across a junction
into the child that goes on straightest, so that a vessel passes its side branches smoothly; another child
starts at the junction.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu

from voxfield.segmentation.tree._graph import Graph, Path
from voxfield.segmentation.tree._skeleton import Floats, Ints


class Nodes(NamedTuple):
    """Centerline nodes, parents first.

    points  (n, 3) mm
    inner   (n,) distance to the wall, mm
    parent  (n,) node before, -1 at a root
    path    (n,) branch
    rows    for each branch its nodes, from the junction (or root) to the far end; the first is the parent's
            last
    above   (b,) parent branch or -1
    """

    points: Floats
    inner: Floats
    parent: Ints
    path: Ints
    rows: list[Ints]
    above: Ints


def sample_paths(graph: Graph, paths: list[Path], step: float) -> Nodes:
    """Nodes at even distances of about `step` mm along the branches of a rooted forest."""
    points: list[Floats] = []
    inner: list[Floats] = []
    rows: list[Ints] = []
    total = 0
    for path in paths:
        line, radius = graph.points[path.nodes], graph.inner[path.nodes]
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        at = np.linspace(0, along[-1], max(2, round(along[-1] / step) + 1))
        if path.parent >= 0:
            at = at[1:]
        points.append(np.stack([np.interp(at, along, line[:, a]) for a in range(3)], axis=1))
        inner.append(np.interp(at, along, radius))
        own = np.arange(total, total + len(at))
        rows.append(own if path.parent < 0 else np.concatenate([rows[path.parent][-1:], own]))
        total += len(at)
    return joined(np.concatenate(points), np.concatenate(inner), rows, [p.parent for p in paths])


def joined(points: Floats, inner: Floats, rows: list[Ints], above: list[int]) -> Nodes:
    """Nodes with parents and branch numbers from the branches' rows."""
    parent = np.full(len(points), -1, np.int64)
    path = np.zeros(len(points), np.int64)
    for number, row in enumerate(rows):
        parent[row[1:]] = row[:-1]
        path[row[0 if above[number] < 0 else 1 :]] = number
    return Nodes(points, inner, parent, path, rows, np.array(above, np.int64))


def tangents(nodes: Nodes) -> Floats:
    """Unit directions (n, 3) away from the root, by central differences along the branches."""
    direction = np.zeros_like(nodes.points)
    for number, row in enumerate(nodes.rows):
        line = nodes.points[row]
        along = np.gradient(line, axis=0) if len(row) > 2 else np.repeat(line[1:] - line[:1], len(row), axis=0)
        own = slice(0 if nodes.above[number] < 0 else 1, None)
        direction[row[own]] = along[own]
    size = np.linalg.norm(direction, axis=1, keepdims=True)
    return np.where(size > 0, direction / np.maximum(size, 1e-12), np.array([0.0, 0.0, 1.0]))


def smooth(nodes: Nodes, targets: Floats, weights: Floats, length: Floats) -> Nodes:
    """Move the nodes to the smoothest line near the targets.

    targets  (n, 3) mm; weights (n,), 0 where a target says nothing
    length   (n,) L above, mm
    """
    triples = _triples(nodes)
    count = len(nodes.points)
    step = np.linalg.norm(nodes.points - nodes.points[np.maximum(nodes.parent, 0)], axis=1)
    step[nodes.parent < 0] = 0
    middle, last = triples[:, 1], triples[:, 2]
    h1, h2 = np.maximum(step[middle], 1e-6), np.maximum(step[last], 1e-6)
    rows = np.repeat(np.arange(len(triples)), 3)
    values = np.stack([1 / h1, -1 / h1 - 1 / h2, 1 / h2], axis=1)
    bend = csr_array((values.ravel(), (rows, triples.ravel())), shape=(len(triples), count))
    stiff = diags_array(length[middle] ** 4 * 2 / (h1 + h2))
    mass = _lengths(nodes.parent, step) * weights
    system = (diags_array(mass) + bend.T @ stiff @ bend).tocsc()
    moved: NDArray[np.float64] = splu(system).solve(mass[:, None] * targets)
    return nodes._replace(points=moved)


def _lengths(parent: Ints, step: Floats) -> Floats:
    """Length (n,) of centerline that each node stands for."""
    share = step / 2
    np.add.at(share, np.maximum(parent, 0), np.where(parent >= 0, step / 2, 0))
    return np.maximum(share, 1e-6)


def _triples(nodes: Nodes) -> Ints:
    """Consecutive nodes (m, 3) within branches and from each branch into the child that goes on straightest."""
    runs = [np.stack([row[:-2], row[1:-1], row[2:]], axis=1) for row in nodes.rows if len(row) > 2]
    for number, row in enumerate(nodes.rows):
        children = np.flatnonzero(nodes.above == number)
        if len(children):
            ahead = [_heading(nodes, nodes.rows[c]) for c in children]
            here = -_heading(nodes, row[::-1])
            best = children[int(np.argmax([a @ here for a in ahead]))]
            runs.append(np.array([[row[-2], row[-1], nodes.rows[best][1]]]))
    return np.concatenate(runs) if runs else np.zeros((0, 3), np.int64)


def _heading(nodes: Nodes, row: Ints) -> Floats:
    """Unit direction from the first node of a row to the one about two radii on."""
    line = nodes.points[row]
    far = np.linalg.norm(line - line[0], axis=1)
    reach = 2 * nodes.inner[row[0]]
    beyond = np.flatnonzero(far >= reach)
    chord = line[beyond[0] if len(beyond) else -1] - line[0]
    return np.asarray(chord / max(float(np.linalg.norm(chord)), 1e-12))


def junction_zone(nodes: Nodes, factor: float = 1.0) -> NDArray[np.bool_]:
    """Nodes (n,) inside the largest ball around a junction of their branch, where no section is the branch's own."""
    zone = np.zeros(len(nodes.points), bool)
    is_parent = np.isin(np.arange(len(nodes.rows)), nodes.above)
    for number, row in enumerate(nodes.rows):
        along = distance_along(nodes.points[row])
        if nodes.above[number] >= 0:
            zone[row] |= along <= factor * nodes.inner[row[0]]
        if is_parent[number]:
            zone[row] |= along[-1] - along <= factor * nodes.inner[row[-1]]
    return zone


def distance_along(line: Floats) -> Floats:
    """Arc length (n,) of a polyline (n, 3) from its first point."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
