"""The stage `segmentation.centerline`: trees in mm, sub-voxel radii, a branch table, openings of the lumen.

How it works stands in `segmentation.tree`: `_graph` (Lee's skeleton, loops, spurs), `_trace` and `_nodes`
(smooth lines through the centroids of sections), `_section` (radii), `_ends` (out to the lumen's ends),
`_branches` (measures, NASCET), `_openings` (caps and patches).
"""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Centerline, LabelMap, Polyline, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.artifacts import Grid
    from voxfield.segmentation.tree._branches import Branch
    from voxfield.segmentation.tree._openings import Openings
    from voxfield.segmentation.tree._trace import Trace

BRIDGE_LABEL = 2
SWC_VESSEL, SWC_BRIDGE = 0, 7
TOLD_STENOSIS, RESOLVED_VOXELS = 0.3, 5
BRANCH_COLUMNS = (
    "branch", "parent", "generation", "length_mm", "radius_mean_mm", "radius_min_mm", "radius_distal_mm",
    "stenosis", "bridge", "start_x_mm", "start_y_mm", "start_z_mm", "end_x_mm", "end_y_mm", "end_z_mm",
    "tree", "opening",
)  # fmt: skip


class Centerlines(NamedTuple):
    """What `segmentation.centerline` makes."""

    centerline: Centerline
    polyline: Polyline
    branches: Table
    openings: LabelMap


@stage(resources=Resources(mem_mb=4000, runtime=20), version=1)
def centerline(
    mask: LabelMap,
    *,
    root_mm: tuple[float, float, float] | None = None,
    spur_ratio: Annotated[float, Ge(0)] = 1.0,
    smoothing: Annotated[float, Gt(0), Le(5)] = 0.6,
    cap_voxels: Annotated[float, Ge(1), Le(20)] = 3.0,
    min_opening_radius_mm: Annotated[float, Ge(0)] = 0.0,
    ctx: Context = Context(),
) -> Centerlines:
    """Trace the trees of a lumen, measure their branches and mark where the lumen is open.

    mask  (x, y, z); every label above 0 is lumen, label 2 is a bridge as `segmentation.repair` writes it

    Returns `centerline`, nodes in world mm about a voxel apart, with the radius of the circle of equal area;
       NaN
    on a bridge, where the kind is 7. `polyline` has one line a branch, with radius, branch, generation, tree,
       arc
    length and bridge at its points. `branches` has one row each, parents first; radii and stenosis are n/a on
       a
    bridge, stenosis also where NASCET is not defined; `opening` is the label at its far end, or at the root
       for
    a root branch without another. `openings` has 1 for wall voxels and k >= 2 for opening k; label 2 is the
    inlet, the root of the largest tree.

    A cap lies outside the lumen: it takes the mask's last voxels beyond a plane across each end and a disc of
    background around them, so the lumen of a flow is the mask without voxels of k >= 2. Only on a face of the
    field of view do lumen voxels carry a label and stay lumen.

    Settings
    root_mm: the root of its tree is the end nearest to this point, world mm; none takes each tree's widest
        end
    spur_ratio: end branches that leave the ball around their junction by less, in its radii, are spurs
    smoothing: waves of the centerline shorter than 2 pi times this many radii are removed
    cap_voxels: thickness of a cap, voxels
    min_opening_radius_mm: ends thinner than this stay closed, mm

    Loops are broken at their thinnest place and reported (finding `loops`); a bridge gives the finding
    `gap-or-occlusion` with its place. Raises InputError for an empty mask, a sheared grid, or a mask of which
       no
    part is long enough to have a centerline.
    """
    import numpy as np

    from voxfield.segmentation.metrics._topology import bounding_box, count_components
    from voxfield.segmentation.tree._branches import measure
    from voxfield.segmentation.tree._openings import mark_openings
    from voxfield.segmentation.tree._trace import trace

    mask.require_foreground()
    grid = mask.grid
    if not grid.is_orthogonal():
        raise InputError("the grid is sheared; sections need right angles", file=mask.file)
    lumen = (mask.data > 0) & (mask.data != mask.unannotated)
    # The margin keeps caps inside; at the field of view the box ends where the volume does.
    box = bounding_box(lumen, int(np.ceil(cap_voxels)) + 12)
    low = np.array([s.start for s in box])
    inside = np.ascontiguousarray(lumen[box])
    bridge = np.ascontiguousarray(mask.data[box] == BRIDGE_LABEL)
    root = None if root_mm is None else (grid.index(root_mm) - low) * grid.spacing
    traced = trace(inside, bridge, grid.spacing, root, spur_ratio, smoothing)
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
    _report(traced, marked, branches, world, count_components(inside), grid, low, ctx)
    kinds = np.where(traced.on_bridge, SWC_BRIDGE, SWC_VESSEL)
    tree = _tree_of(traced)
    return Centerlines(
        Centerline(world, traced.radius, traced.nodes.parent, kinds),
        _polyline(world, traced, branches, tree),
        Table.from_rows(_rows(branches, world, traced, marked, tree), BRANCH_COLUMNS),
        LabelMap(openings, grid.affine, labels=marked.names),
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


def _tree_of(traced: "Trace") -> "NDArray[Any]":
    """Number of the tree, from 1, of each path."""
    import numpy as np

    return np.cumsum(traced.nodes.above < 0)


def _polyline(world: "NDArray[Any]", traced: "Trace", branches: list["Branch"], tree: "NDArray[Any]") -> Polyline:
    import numpy as np

    from voxfield.segmentation.tree._nodes import distance_along

    number = np.zeros(len(world), np.int64)
    generation = np.zeros(len(world), np.int64)
    arc = np.zeros(len(world))
    for place, branch in enumerate(branches):
        own = branch.row if branch.parent < 0 else branch.row[1:]
        number[own], generation[own] = place, branch.generation
        arc[branch.row] = arc[branch.row[0]] + distance_along(world[branch.row])
    values = {
        "radius_mm": traced.radius,
        "branch": number,
        "generation": generation,
        "tree": tree[traced.nodes.path],
        "arc_length_mm": arc,
        "bridge": traced.on_bridge.astype(np.int64),
    }
    return Polyline(world, [branch.row for branch in branches], values)


def _rows(
    branches: list["Branch"], world: "NDArray[Any]", traced: "Trace", marked: "Openings", tree: "NDArray[Any]"
) -> list[dict[str, Any]]:
    """Rows of the branch table."""
    at_node = {}
    for end, label in zip(traced.ends, marked.of_end, strict=True):
        row = traced.nodes.rows[end.path]
        if label:
            at_node[int(row[0] if end.root else row[-1])] = label
    rows = []
    for number, branch in enumerate(branches):
        first, last = int(branch.row[0]), int(branch.row[-1])
        start, end_point = world[first].tolist(), world[last].tolist()
        opening = at_node.get(last, at_node.get(first) if branch.parent < 0 else None)
        places = {
            f"{side}_{a}_mm": p[i] for side, p in (("start", start), ("end", end_point)) for i, a in enumerate("xyz")
        }
        rows.append({
            "branch": number, "parent": branch.parent, "generation": branch.generation, "length_mm": branch.length,
            "radius_mean_mm": branch.mean, "radius_min_mm": branch.least, "radius_distal_mm": branch.distal,
            "stenosis": branch.stenosis, "bridge": int(branch.bridge), **places,
            "tree": int(tree[traced.nodes.path[last]]), "opening": opening,
        })  # fmt: skip
    return rows


def _report(
    traced: "Trace", marked: "Openings", branches: list["Branch"], world: "NDArray[Any]", components: int,
    grid: "Grid", low: "NDArray[Any]", ctx: Context,
) -> None:  # fmt: skip
    """Turn what was seen into findings."""
    for branch in branches:
        if branch.bridge:
            x, y, z = world[branch.row].mean(axis=0)
            text = f"bridge of {branch.length:.1f} mm at ({x:.1f}, {y:.1f}, {z:.1f}) mm: gap or occlusion; no radius"
            ctx.finding("gap-or-occlusion", "warning", text, value=[x, y, z])
    if len(traced.loops):
        places = grid.world(traced.loops / grid.spacing + low)
        shown = "; ".join(f"({x:.1f}, {y:.1f}, {z:.1f})" for x, y, z in places[:5].tolist())
        text = f"{len(places)} loops broken at their thinnest place, such as at {shown} mm"
        ctx.finding("loops", "info", text, value=len(places))
    if components > traced.trees:
        text = f"{components - traced.trees} of {components} components are too short for a centerline"
        ctx.finding("no-centerline", "warning", text, value=components - traced.trees)
    throats = [b for b in branches if (b.stenosis or 0) >= TOLD_STENOSIS and b.least is not None]
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
