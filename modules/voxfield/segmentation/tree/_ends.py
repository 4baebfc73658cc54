"""Carry centerlines on to the ends of the lumen.

A skeleton ends about a radius before a flat end, or runs into its rim. So the last radius of each end is
dropped and the end walks on: half a voxel along its heading, a move towards the centroid of its section, a
turn of the heading by that move; until the interpolated mask falls below 1/2 or the field of view ends. Where
the walk stops short of the skeleton's own end by more than a voxel (vessels of one or two voxels), that end
is kept.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from voxfield.segmentation.tree._nodes import Nodes, distance_along, joined
from voxfield.segmentation.tree._section import cross_sections, in_field_of_view
from voxfield.segmentation.tree._skeleton import Floats, Ints

PULL = 0.25
DROP = 1.0
HEADING = 2.0


class End(NamedTuple):
    """An end of a tree.

    path     its branch
    root     whether the tree is rooted here; otherwise it is the far end of the branch
    edge     whether the lumen leaves the field of view here
    loop     whether the end is where a loop was broken, so that the lumen does not end here
    """

    path: int
    root: bool
    edge: bool
    loop: bool


class _Start(NamedTuple):
    """An end that walks: the line up to it, outward, and its state."""

    path: int
    root: bool
    line: Floats
    inner: Floats
    tip: Floats
    heading: Floats
    dropped: int


def extend(
    nodes: Nodes, solid: NDArray[np.float32], spacing: Floats, loop_ends: set[tuple[int, bool]]
) -> tuple[Nodes, list[End]]:
    """Carry every end that is not in `loop_ends` (branch, at the root) on to the end of the lumen."""
    lines = [nodes.points[row] for row in nodes.rows]
    inner = [nodes.inner[row] for row in nodes.rows]
    has_child = np.isin(np.arange(len(lines)), nodes.above)
    sides = [(k, True) for k in range(len(lines)) if nodes.above[k] < 0]
    sides += [(k, False) for k in range(len(lines)) if not has_child[k]]
    ordered = sorted(sides, key=lambda side: (side[0], not side[1]))
    walking = [side for side in sides if side not in loop_ends]
    starts = [_start(lines[k], inner[k], spacing, k, root) for k, root in walking]
    walks, edges = _walk(starts, solid, spacing)
    for start, walk in zip(starts, walks, strict=True):
        lines[start.path], inner[start.path] = _appended(
            lines[start.path], inner[start.path], start, walk, float(spacing.min())
        )
    at_edge = dict(zip(walking, edges, strict=True))
    ends = [End(k, root, at_edge.get((k, root), False), (k, root) in loop_ends) for k, root in ordered]
    return _rebuilt(lines, inner, nodes.above), ends


def calibres(chains: list[tuple[Floats, Floats]], solid: NDArray[np.float32], spacing: Floats) -> Floats:
    """How wide each end is as a vessel, (n,) mm: the third quartile of its sections over about two diameters.

    The upper part, because an end can be cut aslant. A stub on a wide vessel is not wide: the figure is at most
    one and a half times the inner radius (and half a voxel), and a fifth of the branch's length.

    chains  for each end, points (k, 3) mm up to it and their inner radii
    """
    starts = [_start(line, inner, spacing, k, False) for k, (line, inner) in enumerate(chains)]
    walks, _ = _walk(starts, solid, spacing)
    found = np.zeros(len(starts))
    for k, (start, walk) in enumerate(zip(starts, walks, strict=True)):
        behind = np.linalg.norm(start.line - start.line[-1], axis=1)
        points = np.concatenate([start.line[behind <= 2 * np.median(start.inner)], walk])
        headings = np.repeat(start.heading[None], len(points), axis=0)
        reach = np.full(len(points), 2.5 * start.inner[-1] + 3 * spacing.max())
        radius = float(np.quantile(cross_sections(solid, spacing, points, headings, reach, rays=16).radius, 0.75))
        length = distance_along(np.concatenate([start.line, walk]))[-1]
        widest = 1.5 * float(np.median(start.inner)) + spacing.max() / 2
        found[k] = min(radius, widest, length / 5)
    return found


def _outward(values: Floats, root: bool) -> Floats:
    return values[::-1] if root else values


def _start(line: Floats, inner: Floats, spacing: Floats, path: int, root: bool) -> _Start:
    line, inner = _outward(line, root), _outward(inner, root)
    along = distance_along(line)
    before = along[-1] - along
    typical = float(np.median(inner[before <= 4 * inner.max()]))
    # Half of a short branch stays, so that there is a heading left.
    drop = min(DROP * typical, along[-1] / 2)
    keep = max(2, int(np.flatnonzero(before >= drop)[-1]) + 1)
    kept = line[:keep]
    back = along[keep - 1] - along[:keep]
    reach = max(HEADING * typical, 3 * float(spacing.min()))
    chord = kept[-1] - kept[int(np.flatnonzero(back <= reach)[0]) if (back[:-1] <= reach).any() else -2]
    return _Start(path, root, kept, inner[:keep], line[-1], chord / np.linalg.norm(chord), len(line) - keep)


def _walk(starts: list[_Start], solid: NDArray[np.float32], spacing: Floats) -> tuple[list[Floats], list[bool]]:
    """Points that each end walks through, and whether it left the field of view; all ends step together."""
    if not starts:
        return [], []
    step = float(spacing.min()) / 2
    place = np.stack([s.line[-1] for s in starts])
    heading = np.stack([s.heading for s in starts])
    reach = np.array([2.5 * s.inner[-1] for s in starts]) + 3 * spacing.max()
    budget = np.array([4 * s.inner.max() for s in starts]) + 8 * spacing.max()
    trails: list[list[Floats]] = [[] for _ in starts]
    edges = np.zeros(len(starts), bool)
    active = np.arange(len(starts))
    while len(active):
        place[active] += step * heading[active]
        budget[active] -= step
        index = place[active] / spacing
        value = map_coordinates(solid, index.T, order=1, mode="nearest")
        outside = ~in_field_of_view(index, solid.shape)
        edges[active] = outside & (value >= 0.5)
        on = (value >= 0.5) & ~outside & (budget[active] > 0)
        for k in active[(value >= 0.5)]:
            trails[k].append(place[k].copy())
        active = active[on]
        if len(active):
            section = cross_sections(solid, spacing, place[active], heading[active], reach[active], rays=16)
            pull = PULL * np.where(section.escaped[:, None] < 0.25, section.centroid - place[active], 0)
            place[active] += pull
            turned = heading[active] + pull / reach[active, None]
            heading[active] = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return [np.array(trail).reshape(-1, 3) for trail in trails], edges.tolist()


def _appended(line: Floats, inner: Floats, start: _Start, walk: Floats, voxel: float) -> tuple[Floats, Floats]:
    """A branch with its walked end in place of its last radius."""
    line, inner = _outward(line, start.root), _outward(inner, start.root)
    walked = walk[-1] if len(walk) else start.line[-1]
    if (start.tip - walked) @ start.heading <= voxel:
        # Every second half step, and in any case the last.
        more = walk[(len(walk) - 1) % 2 :: 2]
        line = np.concatenate([line[: len(line) - start.dropped], more])
        inner = np.concatenate([inner[: len(inner) - start.dropped], np.repeat(start.inner[-1:], len(more))])
    return _outward(line, start.root), _outward(inner, start.root)


def _rebuilt(lines: list[Floats], inner: list[Floats], above: Ints) -> Nodes:
    """Nodes from the branches' lines, whose first point is the parent's last."""
    rows: list[Ints] = []
    total = 0
    for number, line in enumerate(lines):
        shared = int(above[number] >= 0)
        own = np.arange(total, total + len(line) - shared)
        rows.append(np.concatenate([rows[above[number]][-1:], own]) if shared else own)
        total += len(own)
    skip = (above >= 0).astype(int)
    points = np.concatenate([line[s:] for line, s in zip(lines, skip, strict=True)])
    radii = np.concatenate([r[s:] for r, s in zip(inner, skip, strict=True)])
    return joined(points, radii, rows, above.tolist())
