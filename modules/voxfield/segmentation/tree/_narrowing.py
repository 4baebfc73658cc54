"""Throats of vessels, and the normal segments that they are compared with.

A stretch is a normal segment where its walls run parallel: over `length` diameters every radius stays within a tenth
of their median (or within two standard deviations of a radius), so that the mean |dr/ds| is at most 0.05 over two
diameters. Of several the widest counts, for a long stenosis has parallel walls too; its radius is the median.

NASCET (N Engl J Med 325, 445, 1991): 1 - d_min / d_reference with the normal segment distal to the throat.
WASID (Samuels et al., AJNR 21, 643, 2000): the widest normal segment of the same artery proximal to the throat, else
distal, else the most distal one of the vessel that feeds it.
The throat is the node with the largest degree, at least a radius away from the segment.
"""

from typing import Literal, NamedTuple

import numpy as np

from voxfield.artifacts import Centerline
from voxfield.segmentation.tree._skeleton import Floats, Ints
from voxfield.segmentation.tree._vessels import Vessel

Method = Literal["nascet", "wasid"]
EVEN = 0.1
FEWEST_NODES = 4


class Segment(NamedTuple):
    """A stretch with parallel walls: its nodes, median radius, and where it begins and ends from the root, mm."""

    nodes: Ints
    radius: float
    begin: float
    end: float


class Narrowing(NamedTuple):
    """A throat (node) and what it is compared with; `where` is distal, proximal or feeding."""

    throat: int
    reference: Segment
    where: str
    degree: float


def segments_of(line: Centerline, vessel: Vessel, length: float, sd_mm: float) -> list[Segment]:
    """All stretches with parallel walls, by their beginnings."""
    nodes, way = vessel.nodes[vessel.clear], vessel.from_root[vessel.clear]
    radius = line.radii[nodes]
    found = []
    for first in range(len(nodes)):
        last = int(np.searchsorted(way, way[first] + 2 * length * radius[first]))
        if last >= len(nodes) or last + 1 - first < FEWEST_NODES:
            continue
        part = radius[first : last + 1]
        median = float(np.median(part))
        if np.abs(part - median).max() <= max(EVEN * median, 2 * sd_mm):
            found.append(Segment(nodes[first : last + 1], median, float(way[first]), float(way[last])))
    return found


class Unreferenced(NamedTuple):
    """A throat (node) without a normal segment; the widest radius beyond it, mm, makes the degree a lower bound."""

    throat: int
    beyond: float
    degree: float


def narrowest(
    line: Centerline, vessel: Vessel, own: list[Segment], feeding: list[Segment], method: Method
) -> Narrowing | Unreferenced | None:
    """The throat of a vessel; None where there is nothing to compare any node with.

    A node without a normal segment is the throat where it is narrower than any other, by more than `EVEN` at least: a
    vessel that widens again but divides before its walls run parallel is not passed over.
    """
    nodes, ways = vessel.nodes[vessel.clear], vessel.from_root[vessel.clear]
    best: Narrowing | None = None
    bound: Unreferenced | None = None
    for node, way in zip(nodes.tolist(), ways.tolist(), strict=True):
        radius = float(line.radii[node])
        chosen = _reference(own, feeding, way, radius, method)
        if chosen is None:
            beyond = float(line.radii[nodes[ways >= way + radius]].max(initial=radius))
            if bound is None or 1 - radius / beyond > bound.degree:
                bound = Unreferenced(node, beyond, 1 - radius / beyond)
        elif best is None or 1 - radius / chosen[0].radius > best.degree:
            best = Narrowing(node, *chosen, 1 - radius / chosen[0].radius)
    least = EVEN + max(0.0, best.degree if best else 0.0)
    return bound if bound is not None and bound.degree > least else best


def _reference(
    own: list[Segment], feeding: list[Segment], way: float, radius: float, method: Method
) -> tuple[Segment, str] | None:
    distal = widest([s for s in own if s.begin >= way + radius])
    if method == "nascet":
        return None if distal is None else (distal, "distal")
    proximal = widest([s for s in own if s.end <= way - radius])
    fed = max(feeding, key=lambda s: s.end, default=None)
    choices = ((proximal, "proximal"), (distal, "distal"), (fed, "feeding"))
    return next(((segment, where) for segment, where in choices if segment is not None), None)


def widest(segments: list[Segment]) -> Segment | None:
    """The widest of some segments."""
    return max(segments, key=lambda s: s.radius, default=None)


def smoothed(radii: Floats, parents: Ints) -> Floats:
    """Radii (n,) averaged with those before and after, with weights 1, 2, 1, where all three are known."""
    after = np.full(len(radii), -1)
    after[parents[parents >= 0]] = np.flatnonzero(parents >= 0)
    both = (parents >= 0) & (after >= 0)
    mean = (radii[parents] + 2 * radii + radii[after]) / 4
    return np.where(both & np.isfinite(mean), mean, radii)
