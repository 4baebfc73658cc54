"""The centerline: vessels drawn as tubes in their true width, and the ways along them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from voxfield.artifacts import Centerline
from voxfield.report._material import Material
from voxfield.report._raster import Scale, span
from voxfield.report._sheet import Picture, Sheet, place_tags
from voxfield.report._vector import path_data, stroke, tube
from voxfield.report._view import View

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST_PIECES = 500  # of all tubes together; a longer tree is drawn with every second node, or every third
BRIDGE = 7


@dataclass(frozen=True)
class Way:
    """The nodes from a root to an end, and how far along each lies, mm."""

    nodes: Ints
    distance: Floats


def tree_pictures(material: Material, sheet: Sheet) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Per view the tree in the colours of its radius, and the colour bar."""
    tree = material.centerline
    if tree is None:
        raise RuntimeError("pictures of the tree need a centerline")
    known = tree.radii[np.isfinite(tree.radii)]
    scale = Scale("radius", "mm", *_ends(known), "viridis")
    shown = []
    for view in material.views:
        tags = place_tags(material.frame, view, material.opening_places)
        title = f"{view.name.capitalize()} projection"
        alt = f"The centerline tree seen in {view.name} direction, as tubes of true width in the colours of the radius."
        drawing = draw_tree(tree, material, view, scale)
        shown.append(sheet.show(Picture(title, alt, [], drawing, tags, view.letters)))
    return shown, scale.bar()


def _ends(radii: Floats) -> tuple[float, float]:
    low, high = span(radii) if len(radii) else (0.0, 1.0)
    return (low, high) if high - low > 0.02 * high else (0.9 * low, 1.1 * high)


def draw_tree(tree: Centerline, material: Material, view: View, scale: Scale) -> Markup:
    """Tubes, the farthest first, and bridges as dashed lines."""
    places = material.frame.plane(view, tree.points)
    depth = -view_sign(view) * (tree.points @ material.frame.body[:, view.axis])
    step = max(1, -(-len(tree) // MOST_PIECES))
    tubes: list[tuple[float, Markup]] = []
    bridges = []
    children = np.bincount(tree.parents[tree.parents >= 0], minlength=len(tree))
    for chain in chains(tree):
        for bridged, run in _by_kind(tree, chain):
            if bridged:
                bridges.append(places[run])
                continue
            kept = run[np.unique(np.append(np.arange(0, len(run), step), len(run) - 1))]
            radii = np.where(np.isfinite(tree.radii[kept]), tree.radii[kept], scale.low)
            colours = scale.hex((radii[:-1] + radii[1:]) / 2)
            forks = (bool(children[kept[0]] > 1), bool(children[kept[-1]] > 1))
            tubes.append((float(depth[run].mean()), tube(places[kept], radii, colours, forks)))
    ordered = [drawing for _, drawing in sorted(tubes, key=lambda t: t[0])]
    return Markup("").join(ordered) + stroke(path_data(bridges), "bridge-line")


def view_sign(view: View) -> int:
    """+1 where the viewer stands at the positive end of the axis that is looked along."""
    (a, s), (b, t) = view.across, view.upward
    normal = np.cross(s * np.eye(3)[a], t * np.eye(3)[b])
    return int(normal[view.axis])


def chains(tree: Centerline) -> list[Ints]:
    """Nodes from every root or fork to the next fork or end, both included, so that they cover every edge once."""
    count = len(tree)
    children = np.bincount(tree.parents[tree.parents >= 0], minlength=count)
    stops = [n for n in range(count) if children[n] != 1]
    found = []
    for stop in stops:
        nodes = [stop]
        while tree.parents[nodes[-1]] >= 0:
            nodes.append(int(tree.parents[nodes[-1]]))
            if children[nodes[-1]] != 1:
                break
        if len(nodes) > 1:
            found.append(np.array(nodes[::-1], dtype=np.int64))
    return found


def _by_kind(tree: Centerline, chain: Ints) -> list[tuple[bool, Ints]]:
    """Cut a chain into stretches of vessel and of bridge; an edge is a bridge where one of its ends is."""
    bridged = (tree.kinds[chain[:-1]] == BRIDGE) | (tree.kinds[chain[1:]] == BRIDGE)
    cuts = np.flatnonzero(np.diff(bridged.astype(np.int8))) + 1
    starts, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(bridged)]
    return [(bool(bridged[a]), chain[a : b + 1]) for a, b in zip(starts, ends, strict=True)]


def ways(tree: Centerline) -> list[Way]:
    """The way from a root to each end of the tree, the longest first."""
    leaves = sorted(set(range(len(tree))) - set(tree.parents.tolist()))
    found = []
    for leaf in leaves:
        nodes = [leaf]
        while tree.parents[nodes[-1]] >= 0:
            nodes.append(int(tree.parents[nodes[-1]]))
        if len(nodes) > 1:
            way = np.array(nodes[::-1], dtype=np.int64)
            steps = np.linalg.norm(np.diff(tree.points[way], axis=0), axis=1)
            found.append(Way(way, np.concatenate([[0.0], np.cumsum(steps)])))
    return sorted(found, key=lambda w: -float(w.distance[-1]))
