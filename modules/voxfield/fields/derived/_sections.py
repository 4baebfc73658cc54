"""Planes across the branches of a centerline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from voxfield.artifacts import Centerline
from voxfield.fields.derived._planes import Plane

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BRIDGE = 7
CLEAR = 1.5
"""Radii kept between a section and the ends of its branch, where it would cut the neighbouring branches too."""
TANGENT = 1.0
"""Radii on either side over which the direction of a branch is taken."""


def sections(line: Centerline, every_mm: float, voxel_mm: float) -> list[Plane]:
    """Planes across every branch, at most `every_mm` apart, one at least; normals point away from the root."""
    planes = []
    for number, nodes in enumerate(branches(line), start=1):
        planes += _across(line, nodes, number, every_mm, voxel_mm)
    return planes


def owners(line: Centerline, points: Floats) -> Ints:
    """Number (n,) of the branch whose nodes are nearest to each point (n, 3), mm; a division belongs to its parent."""
    branch = np.zeros(len(line), dtype=np.int64)
    for number, nodes in enumerate(branches(line), start=1):
        branch[nodes[1:]] = number
        branch[nodes[0]] = branch[nodes[0]] or number
    return np.asarray(branch[cKDTree(line.points).query(points)[1]])


def branches(line: Centerline) -> list[Ints]:
    """Node numbers of each branch, from a root or a division to the next division or end, parents first."""
    children: list[list[int]] = [[] for _ in range(len(line))]
    roots = []
    for node, parent in enumerate(line.parents.tolist()):
        if parent < 0:
            roots.append(node)
        else:
            children[parent].append(node)
    found: list[Ints] = []
    waiting = [[root] for root in reversed(roots)]
    while waiting:
        path = waiting.pop()
        while len(children[path[-1]]) == 1:
            path.append(children[path[-1]][0])
        if len(path) > 1:
            found.append(np.array(path))
        waiting += [[path[-1], child] for child in reversed(children[path[-1]])]
    return found


def _across(line: Centerline, nodes: Ints, number: int, every_mm: float, voxel_mm: float) -> list[Plane]:
    points = line.points[nodes]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    radii = line.radii[nodes]
    radius = float(np.nanmedian(radii)) if np.isfinite(radii).any() else voxel_mm
    radius = max(radius, voxel_mm)
    first, last = CLEAR * radius, along[-1] - CLEAR * radius
    if last <= first:
        first = last = along[-1] / 2
    count = 1 + int(np.ceil((last - first) / every_mm))
    planes = []
    for place in np.linspace(first, last, count):
        if (line.kinds[nodes[np.searchsorted(along, place).clip(1) - 1 :][:2]] == BRIDGE).any():
            continue
        centre, before, after = (_at(along, points, place + d) for d in (0.0, -TANGENT * radius, TANGENT * radius))
        direction = after - before
        length = float(np.linalg.norm(direction))
        if length > 0:
            planes.append(Plane(f"branch-{number}", float(place), centre, direction / length, branch=number))
    return planes


def _at(along: Floats, points: Floats, place: float) -> Floats:
    return np.stack([np.interp(place, along, points[:, axis]) for axis in range(3)])
