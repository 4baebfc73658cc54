"""Centerlines of a mask: skeleton, smooth lines through the centroids of sections, out to the lumen's ends.

Lee's skeleton has the right topology but zigzags by a voxel and stops about a radius before an end. So its
lines are smoothed (`_nodes`), moved to the centroids of their sections (`_section`) and smoothed again, three
times, and each end is walked on (`_ends`) until it leaves the lumen or the field of view. No section is
trusted inside a junction, where it belongs to two branches, nor on a bridge.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from voxfield.segmentation.metrics._topology import Mask
from voxfield.segmentation.tree._ends import End, calibres, extend
from voxfield.segmentation.tree._graph import (
    Graph,
    Path,
    end_chain,
    leaves_of,
    prune,
    reach_tips,
    rooted_paths,
    skeleton_graph,
    trees_of,
)
from voxfield.segmentation.tree._nodes import (
    Nodes,
    distance_along,
    junction_zone,
    sample_paths,
    smooth,
    tangents,
)
from voxfield.segmentation.tree._section import Sections, cross_sections, in_field_of_view, is_flat, without_bias
from voxfield.segmentation.tree._skeleton import Floats

PASSES = 3
JUNCTION_MERGE = 0.5


class Loop(NamedTuple):
    """Where a loop was broken: the place (3,) mm and the paths on its two sides."""

    place: Floats
    sides: tuple[int, int]


class Trace(NamedTuple):
    """Smooth centerlines; `radius` (n,) mm is NaN on bridges, `clear` (n,) where it was measured by a good section.

    rooted  number of trees that have their root at a place that was asked for
    """

    nodes: Nodes
    radius: Floats
    clear: NDArray[np.bool_]
    on_bridge: NDArray[np.bool_]
    ends: list[End]
    loops: list[Loop]
    trees: int
    rooted: int


def trace(
    lumen: Mask, bridge: Mask, spacing: Floats, roots: list[Floats], spur_ratio: float, smoothing: float
) -> Trace:
    """Trace the centerlines of a (x, y, z) mask.

    bridge     (x, y, z), the part of the lumen that is a bridge
    roots      (3,) mm each: the end nearest to it is the root of its tree; other trees take their widest end
    smoothing  length L of the smoothing in radii
    """
    import edt

    voxel = float(spacing.min())
    inner = edt.edt(np.ascontiguousarray(lumen), anisotropy=tuple(spacing), black_border=False)
    graph = reach_tips(prune(skeleton_graph(lumen, inner, spacing), spur_ratio, voxel), lumen, spacing)
    solid = lumen.astype(np.float32)
    paths, loop_ends, trees, rooted = _root(graph, solid, spacing, roots)
    if not paths:
        empty = np.zeros((0, 3))
        nodes = Nodes(empty, empty[:, 0], np.zeros(0, np.int64), np.zeros(0, np.int64), [], np.zeros(0, np.int64))
        return Trace(nodes, empty[:, 0], np.zeros(0, bool), np.zeros(0, bool), [], [], 0, 0)
    nodes = sample_paths(graph, paths, voxel)
    nodes = _centre(nodes, solid, bridge, spacing, smoothing)
    nodes, ends = extend(nodes, solid, spacing, loop_ends)
    on_bridge = _at(bridge, nodes.points, spacing)
    sections = _sections(nodes, solid, spacing)
    clear = ~junction_zone(nodes) & ~on_bridge & (sections.escaped < 0.5)
    # A channel of one voxel has the area of its face: what is smaller is the interpolation, not the lumen.
    unbiased = sections.radius if is_flat(lumen.shape) else without_bias(sections.radius, spacing)
    measured = np.where(unbiased > 0, np.maximum(unbiased, voxel / 2), 0)
    radius = _fill(nodes, measured, clear, voxel / 2)
    radius[on_bridge] = np.nan
    return Trace(nodes, radius, clear, on_bridge, ends, _loops(graph, paths), trees, rooted)


def _root(
    graph: Graph, solid: NDArray[np.float32], spacing: Floats, wanted: list[Floats]
) -> tuple[list[Path], set[tuple[int, bool]], int, int]:
    """Branches of all trees, the larger trees first; the ends, as (branch, at the root), that break a loop; how many
    trees there are, and how many of them have their root at a place that was wanted."""
    trees = sorted(trees_of(graph), key=lambda tree: (-len(tree), int(tree[0])))
    roots = []
    for tree in trees:
        leaves = leaves_of(graph, tree)
        free = [leaf for leaf in leaves if leaf not in graph.broken] or leaves
        width = calibres([end_chain(graph, leaf) for leaf in free], solid, spacing)
        roots.append(free[int(np.argmax(width))])
    rooted = set()
    for place in wanted[::-1] if trees else ():
        nearest = [(float(np.linalg.norm(graph.points[n] - place)), k, n)
                   for k, tree in enumerate(trees) for n in leaves_of(graph, tree)]  # fmt: skip
        _, tree_number, leaf = min(nearest)
        roots[tree_number] = leaf
        rooted.add(tree_number)
    paths: list[Path] = []
    loop_ends: set[tuple[int, bool]] = set()
    for root in roots:
        offset = len(paths)
        for path in rooted_paths(graph, root, JUNCTION_MERGE):
            if path.nodes[-1] in graph.broken:
                loop_ends.add((len(paths), False))
            paths.append(Path(path.nodes, path.parent + offset if path.parent >= 0 else -1))
        if root in graph.broken:
            loop_ends.add((offset, True))
    return paths, loop_ends, len(trees), len(rooted)


def _loops(graph: Graph, paths: list[Path]) -> list[Loop]:
    """The broken loops, each side on the path that holds its node, or the nearest where that was pruned."""
    members = [(number, node) for number, path in enumerate(paths) for node in path.nodes[path.parent >= 0 :]]
    number, node = np.array(members).T
    path_of = dict(zip(node.tolist(), number.tolist(), strict=True))
    tree = cKDTree(graph.points[node])
    found = []
    for a, b in graph.loops.tolist():
        first, second = (path_of.get(n, int(number[tree.query(graph.points[n])[1]])) for n in (a, b))
        found.append(Loop(graph.points[[a, b]].mean(axis=0), (first, second)))
    return found


def _centre(nodes: Nodes, solid: NDArray[np.float32], bridge: Mask, spacing: Floats, smoothing: float) -> Nodes:
    """Move nodes to the middle of the lumen, as smooth lines."""
    length = smoothing * np.maximum(nodes.inner, spacing.min())
    skeleton = nodes.points
    nodes = smooth(nodes, nodes.points, np.ones(len(nodes.points)), length)
    for _ in range(PASSES):
        sections = _sections(nodes, solid, spacing, rays=16)
        trusted = ~junction_zone(nodes) & ~_at(bridge, nodes.points, spacing) & (sections.escaped < 0.25)
        # A section that moves its node by more than its radius belongs to something else.
        shift = np.linalg.norm(sections.centroid - nodes.points, axis=1)
        trusted &= shift <= np.maximum(sections.radius, spacing.min())
        # Beyond the field of view nobody knows where a vessel that runs along its face ends.
        trusted &= in_field_of_view(sections.centroid / spacing, solid.shape)
        targets = np.where(trusted[:, None], sections.centroid, nodes.points)
        weights = np.where(trusted, 1.0, 0.01)
        # In vessels of a voxel's width the smooth line can leave the lumen: the skeleton calls it back.
        lost = sections.radius == 0
        targets[lost], weights[lost] = skeleton[lost], 0.3
        nodes = smooth(nodes, targets, weights, length)
    return nodes


def _sections(nodes: Nodes, solid: NDArray[np.float32], spacing: Floats, rays: int = 32) -> Sections:
    reach = 2.5 * nodes.inner + 3 * spacing.max()
    return cross_sections(solid, spacing, nodes.points, tangents(nodes), reach, rays)


def _at(mask: Mask, points: Floats, spacing: Floats) -> NDArray[np.bool_]:
    """Values (n,) of a mask at the voxels nearest to points in mm."""
    voxels = np.clip(np.rint(points / spacing).astype(int), 0, np.array(mask.shape) - 1)
    return np.asarray(mask[tuple(voxels.T)])


def _fill(nodes: Nodes, radius: Floats, clear: NDArray[np.bool_], least: float) -> Floats:
    """Radii along each branch, where no section is clear from the nearest clear ones.

    There a section can only be too large, by what it holds of another branch, so it also bounds the radius; a
    node outside the lumen has no section.
    """
    bound = np.where(radius > 0, radius, np.inf)
    filled = radius.copy()
    for number, row in enumerate(nodes.rows):
        own = row if nodes.above[number] < 0 else row[1:]
        good = clear[own]
        if not good.any():
            filled[own] = np.minimum(bound[own], np.maximum(1.2 * nodes.inner[own], least))
            continue
        along = distance_along(nodes.points[own])
        between = np.interp(along, along[good], radius[own][good])
        filled[own] = np.where(good, radius[own], np.minimum(bound[own], between))
    return filled
