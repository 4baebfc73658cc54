"""The stage `segmentation.centerline`: trees in mm, sub-voxel radii, a branch table, openings of the lumen.

How it works stands in `segmentation.tree`: `_graph` (Lee's skeleton, loops, spurs), `_trace` and `_nodes`
(smooth lines through the centroids of sections), `_section` (radii), `_ends` (out to the lumen's ends),
`_branches` (measures, NASCET), `_angles` (at junctions), `_openings` (caps and patches), `_export` (tables, graph).
"""

from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Centerline, Graph, LabelMap, Polyline, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.artifacts import Grid
    from voxfield.segmentation.tree._export import Forest
    from voxfield.segmentation.tree._openings import Openings
    from voxfield.segmentation.tree._trace import Trace

BRIDGE_LABEL = 2
SWC_VESSEL, SWC_BRIDGE = 0, 7
TOLD_STENOSIS, RESOLVED_VOXELS = 0.3, 5


class Centerlines(NamedTuple):
    """What `segmentation.centerline` makes."""

    centerline: Centerline
    polyline: Polyline
    branches: Table
    openings: LabelMap
    loops: Table
    graph: Graph


@stage(resources=Resources(mem_mb=4000, runtime=20, bytes_per_voxel={"mask": 3}), version=4)
def centerline(
    mask: LabelMap,
    *,
    roots_mm: tuple[tuple[float, float, float], ...] = (),
    spur_ratio: Annotated[float, Ge(0)] = 1.0,
    smoothing: Annotated[float, Gt(0), Le(5)] = 0.6,
    cap_voxels: Annotated[float, Ge(1), Le(20)] = 3.0,
    min_opening_radius_mm: Annotated[float, Ge(0)] = 0.0,
    ctx: Context = Context(),
) -> Centerlines:
    """Trace the trees of a lumen, measure their branches and mark where the lumen is open.

    mask  (x, y, z); every label above 0 is lumen, label 2 is a bridge as `segmentation.repair` writes it

    Returns `centerline`, nodes in world mm about a voxel apart, with the radius of the circle of equal area (in an
    image of one slice, half the width); NaN on a bridge, where the kind is 7. `polyline` has one line a branch, with
    radius, branch, generation, tree, arc length and bridge at its points. `branches` has one row each, parents first;
    radii and stenosis are n/a on a bridge, stenosis also where NASCET is not defined; `opening` is the label at its
    far end, or at the root for a root branch without another; angles at the junction where it begins, in degrees:
    `angle_branching_deg` from the direction of its parent (0 goes straight on), `angle_sibling_deg` from the sibling
    farthest in direction (of two daughters: between them), with directions taken from 2.5 to 5 radii away from the
    junction. `openings` has 1 for wall voxels and k >= 2 for opening k; label 2 is the inlet, the root of the largest
    tree. `loops` has one row for each loop that was broken: the branches on its two sides, its place, the radius
    there, and the length of the way around it. `graph` has roots, junctions, ends and bridge ends as nodes, branches
    as edges with the values of the table, and one edge more for each loop, between the nodes nearest to where it was
    broken.

    A cap lies outside the lumen: it takes the mask's last voxels beyond a plane across each end and a disc of
    background around them, so the lumen of a flow is the mask without voxels of k >= 2. Only on a face of the
    field of view do lumen voxels carry a label and stay lumen.

    Settings
    roots_mm: for each, the end nearest to it is the root of its tree, world mm; of two in one tree the first counts.
        Trees without one take their widest end
    spur_ratio: end branches that leave the ball around their junction by less, in its radii, are spurs
    smoothing: waves of the centerline shorter than 2 pi times this many radii are removed
    cap_voxels: thickness of a cap, voxels
    min_opening_radius_mm: ends thinner than this stay closed, mm

    Loops are broken at their thinnest place and listed; a bridge gives the finding
    `gap-or-occlusion` with its place. Raises InputError for an empty mask, a sheared grid, or a mask of which no
    part is long enough to have a centerline.
    """
    import numpy as np

    from voxfield.segmentation.metrics._topology import bounding_box, count_components, fill_cavities
    from voxfield.segmentation.tree import _export as export
    from voxfield.segmentation.tree._branches import measure
    from voxfield.segmentation.tree._openings import mark_openings
    from voxfield.segmentation.tree._trace import trace

    mask.require_foreground()
    grid = mask.grid
    if not grid.is_orthogonal():
        raise InputError("the grid is sheared; sections need right angles", file=mask.file)
    given = (mask.data > 0) & (mask.data != mask.unannotated)
    # The skeleton of a cavity is a shell.
    lumen = fill_cavities(given)
    if (lumen & ~given).any():
        text = "the mask has cavities, which were taken for lumen; segmentation.repair fills them"
        ctx.finding("cavities-filled", "warning", text, value=int((lumen & ~given).sum()))
    # The margin keeps caps inside; at the field of view the box ends where the volume does.
    box = bounding_box(lumen, int(np.ceil(cap_voxels)) + 12)
    low = np.array([s.start for s in box])
    inside = np.ascontiguousarray(lumen[box])
    bridge = np.ascontiguousarray(mask.data[box] == BRIDGE_LABEL)
    roots = [(grid.index(root) - low) * grid.spacing for root in roots_mm]
    traced = trace(inside, bridge, grid.spacing, roots, spur_ratio, smoothing)
    if not traced.trees:
        raise InputError("no part of the mask is long enough to have a centerline", file=mask.file)
    marked = mark_openings(
        inside, traced.nodes, traced.radius, traced.clear, traced.ends, grid.spacing, cap_voxels,
        min_opening_radius_mm,
    )  # fmt: skip
    traced = _held_beyond_cuts(traced, marked)
    branches = measure(traced.nodes, traced.radius, traced.clear, traced.on_bridge)
    world = grid.world(traced.nodes.points / grid.spacing + low)
    openings = np.zeros(grid.shape, np.int32)
    openings[box] = marked.labels
    places = np.array([loop.place for loop in traced.loops]).reshape(-1, 3)
    forest = export.Forest(
        traced, branches, world, _opening_nodes(traced, marked), grid.world(places / grid.spacing + low)
    )
    _report(forest, marked, count_components(inside), grid, len(roots), ctx)
    table, loops = export.branch_table(forest), export.loop_table(forest)
    kinds = np.where(traced.on_bridge, SWC_BRIDGE, SWC_VESSEL)
    return Centerlines(
        Centerline(world, traced.radius, traced.nodes.parent, kinds),
        export.polyline(forest),
        table,
        LabelMap(openings, grid.affine, labels=marked.names),
        loops,
        export.graph(forest, table, loops),
    )


def _held_beyond_cuts(traced: "Trace", marked: "Openings") -> "Trace":
    """Beyond a cut the section shrinks with the end of the mask: hold the radius of the cut there."""
    radius, clear = traced.radius.copy(), traced.clear.copy()
    for cut in marked.cuts.values():
        beyond = cut.beyond[:-1]
        held = ~traced.on_bridge[beyond]
        radius[beyond[held]] = cut.radius
        clear[beyond] = False
    return traced._replace(radius=radius, clear=clear)


def _opening_nodes(traced: "Trace", marked: "Openings") -> dict[int, int]:
    """Label of the opening at each end node that has one."""
    at_node = {}
    for end, label in zip(traced.ends, marked.of_end, strict=True):
        row = traced.nodes.rows[end.path]
        if label:
            at_node[int(row[0] if end.root else row[-1])] = label
    return at_node


def _report(
    forest: "Forest", marked: "Openings", components: int, grid: "Grid", roots: int, ctx: Context
) -> None:  # fmt: skip
    """Turn what was seen into findings."""
    traced = forest.trace
    if roots > traced.trees:
        ctx.finding(
            "roots-unused", "warning", f"{roots} roots for {traced.trees} trees: some share a tree", value=roots
        )
    for branch in forest.branches:
        if branch.bridge:
            x, y, z = forest.world[branch.row].mean(axis=0)
            text = f"bridge of {branch.length:.1f} mm at ({x:.1f}, {y:.1f}, {z:.1f}) mm: gap or occlusion; no radius"
            ctx.finding("gap-or-occlusion", "warning", text, value=[x, y, z])
    if len(forest.loops):
        shown = "; ".join(f"({x:.1f}, {y:.1f}, {z:.1f})" for x, y, z in forest.loops[:5].tolist())
        text = f"{len(forest.loops)} loops broken at their thinnest place, such as at {shown} mm"
        ctx.finding("loops", "info", text, value=len(forest.loops))
    if components > traced.trees:
        text = f"{components - traced.trees} of {components} components are too short for a centerline"
        ctx.finding("no-centerline", "warning", text, value=components - traced.trees)
    throats = [b for b in forest.branches if (b.stenosis or 0) >= TOLD_STENOSIS and b.least is not None]
    coarse = [b for b in throats if 2 * (b.least or 0) < RESOLVED_VOXELS * grid.spacing.max()]
    if coarse:
        text = f"{len(coarse)} of {len(throats)} narrow branches have fewer than {RESOLVED_VOXELS} voxels across"
        ctx.finding("throat-unresolved", "warning", text, value=len(coarse))
    closed = sum(label == 0 and not end.loop for end, label in zip(traced.ends, marked.of_end, strict=True))
    if closed:
        text = f"{closed} ends without an opening: thinner than the limit, or without a clear section"
        ctx.finding("closed-ends", "info", text, value=closed)
    if marked.lone_patches:
        text = f"the lumen leaves the field of view in {marked.lone_patches} places where no centerline ends"
        ctx.finding("cut-by-field-of-view", "warning", text, value=marked.lone_patches)
