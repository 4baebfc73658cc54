"""The stage `segmentation.repair`: as many trees as set or found, no cavities, every bridge listed.

Bridges are minimal paths on -log p (Cohen and Kimmel, IJCV 24(1), 1997, with the probability as speed) that
form a minimum spanning forest over the components; how they are searched and chosen is written in
`tree._paths`, `tree._forest` and `tree._mend`. Unlike keeping the largest component, nothing is lost or made
up without a line in a table: input voxels have label 1, bridges 2, filled voxels 3; what is dropped is listed,
and so is each bridge that was refused.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Image, LabelMap, Table, check_pair
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.artifacts import Grid
    from voxfield.segmentation.tree._mend import Bridge, Mended, Removed

BRIDGE_COLUMNS = (
    "bridge", "kind", "from", "to",
    "start_x_mm", "start_y_mm", "start_z_mm", "end_x_mm", "end_y_mm", "end_z_mm",
    "gap_mm", "length_mm", "cost_mm", "mean_neg_log_p", "probability", "voxels",
)  # fmt: skip
ROOT_VOXELS = 3
REFUSED_COLUMNS = (*BRIDGE_COLUMNS, "reason")
REMOVED_COLUMNS = ("kind", "voxels", "volume_mm3", "mass_mm3", "x_mm", "y_mm", "z_mm")


class Repair(NamedTuple):
    """What `segmentation.repair` makes."""

    repaired: LabelMap
    bridges: Table
    removed: Table
    refused: Table


@stage(resources=Resources(mem_mb=4000, runtime=20, bytes_per_voxel={"probability": 50}), version=2)
def repair(
    probability: Image,
    segmentation: LabelMap,
    *,
    trees: Annotated[int, Ge(1)] | None = None,
    roots_mm: tuple[tuple[float, float, float], ...] = (),
    loops: Literal["keep", "break"] = "keep",
    min_size_mm3: Annotated[float, Ge(0)] = 30.0,
    max_bridge_mm: Annotated[float, Ge(0)] = 10.0,
    min_bridge_probability: Annotated[float, Gt(0), Le(1)] = 0.1,
    join_faces: bool = True,
    ctx: Context = Context(),
) -> Repair:
    """Join a segmentation into trees by the likeliest bridges, fill its cavities and list every change.

    probability   (x, y, z), probability of lumen, 0 to 1
    segmentation  (x, y, z) on the same grid; every label above 0 is lumen

    Returns `repaired`: 1 lumen (voxels of the input), 2 bridge, 3 filled (cavities, and contacts by an edge or
    corner made a face). It has exactly as many 26-components as trees, and no cavity (6-connected background).
    `bridges` has one row each: kind "gap" (label 2) or "contact" (label 3); the numbers of the components that it
    joins (26-components for a gap, 6-components for a contact); its end voxels in world mm; the straight distance
    between them and the length of the path along faces; the integral of -log p along it (mm); the mean of -log p
    and the geometric-mean probability of its voxels. `refused` has the same columns and a reason, for the cheapest
    bridges within `max_bridge_mm` that would have joined what was left apart or dropped. `removed` has one row for
    each component that was dropped, and for each cut through a loop.

    Settings
    trees: number of trees to keep, the heaviest; none keeps every tree of at least `min_size_mm3`
    roots_mm: places in or at the lumen, world mm, instead of `trees`: one tree grows from each, two roots are never
        bridged, and what no root reaches is dropped; roots in one component share a tree
    loops: keep, or break each at its thinnest place by a cut of one voxel (bridges are the last to be cut); no
        bridge is ever drawn to close a loop
    min_size_mm3: smallest tree, by the sum of p times voxel volume, mm^3; the largest tree always stays
    max_bridge_mm: widest gap that is bridged, straight between the centres of its end voxels, mm; 0 for none
    min_bridge_probability: smallest geometric-mean probability of a bridge's voxels, 0 to 1
    join_faces: join parts that touch by an edge or corner through a face, as fluxes need

    A bridge says where a connection is likeliest, not that there is one, nor how wide it is: no radius, pressure
    or grade holds across it. Raises InputError for an empty segmentation, two grids, a sheared grid, values that
    are no probabilities or a root away from the lumen; SettingsError for roots together with a number of trees.
    """
    import numpy as np

    from voxfield.segmentation.tree._mend import Rules, mend

    if roots_mm and trees is not None:
        raise SettingsError(f"trees is {trees} and there are {len(roots_mm)} roots_mm; give the one or the other")
    check_pair(probability, segmentation)
    segmentation.require_foreground()
    _require_probability(probability)
    grid = segmentation.grid
    if not grid.is_orthogonal():
        raise InputError("the grid is sheared; paths in mm need right angles", file=segmentation.file)
    mask = (segmentation.data > 0) & (segmentation.data != segmentation.unannotated)
    roots = _root_voxels(roots_mm, mask, segmentation)
    rules = Rules(
        trees, min_size_mm3, max_bridge_mm, min_bridge_probability, join_faces, roots, loops == "keep"
    )  # fmt: skip
    mended = mend(probability.data.astype(np.float64), mask, grid.spacing, rules)
    _report(mended, grid, trees, ctx)
    names = {1: "lumen", 2: "bridge", 3: "filled"}
    return Repair(
        LabelMap(mended.labels, grid.affine, labels=names),
        Table.from_rows([_bridge_row(i, b, grid) for i, b in enumerate(mended.bridges, 1)], BRIDGE_COLUMNS),
        Table.from_rows([_removed_row(part, grid) for part in mended.removed], REMOVED_COLUMNS),
        Table.from_rows([_bridge_row(i, b, grid) for i, b in enumerate(mended.refused, 1)], REFUSED_COLUMNS),
    )


def _root_voxels(
    roots_mm: tuple[tuple[float, float, float], ...], mask: "NDArray[np.bool_]", segmentation: LabelMap
) -> tuple[tuple[int, int, int], ...]:
    """The lumen voxel nearest to each root."""
    import numpy as np

    grid, found = segmentation.grid, []
    voxels = np.argwhere(mask) if roots_mm else np.zeros((0, 3), np.int64)
    for root in roots_mm:
        away = np.linalg.norm((voxels - grid.index(root)) * grid.spacing, axis=1)
        if away.min() > ROOT_VOXELS * grid.spacing.max():
            raise InputError(
                f"the root at {root} mm lies {away.min():.1f} mm from the lumen; give a place in it or within "
                f"{ROOT_VOXELS} voxels", file=segmentation.file,
            )  # fmt: skip
        x, y, z = voxels[int(away.argmin())].tolist()
        found.append((x, y, z))
    return tuple(found)


def _require_probability(image: Image) -> None:
    values = image.data
    if values.ndim != 3:
        raise InputError(f"has shape {values.shape}; expected a 3D probability", file=image.file)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise InputError(f"holds values from {low:g} to {high:g}; a probability is 0 to 1", file=image.file)


def _bridge_row(number: int, bridge: "Bridge", grid: "Grid") -> dict[str, Any]:
    import numpy as np

    link = bridge.link
    start, end = grid.world(link.start), grid.world(link.end)
    row: dict[str, Any] = {"bridge": number, "kind": bridge.kind, "from": link.first, "to": link.second}
    row |= {f"{side}_{a}_mm": float(p[i]) for side, p in (("start", start), ("end", end)) for i, a in enumerate("xyz")}
    return row | {
        "gap_mm": link.gap_mm(grid.spacing),
        "length_mm": link.length_mm(grid.spacing),
        "cost_mm": link.cost,
        "mean_neg_log_p": -float(np.log(bridge.probability)),
        "probability": bridge.probability,
        "voxels": len(link.voxels),
        "reason": bridge.reason,
    }


def _removed_row(part: "Removed", grid: "Grid") -> dict[str, Any]:
    x, y, z = (float(c) for c in grid.world(part.centre))
    volume = part.voxels * grid.voxel_volume_mm3
    return {
        "kind": part.kind,
        "voxels": part.voxels,
        "volume_mm3": volume,
        "mass_mm3": part.mass_mm3,
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
    }


def _report(mended: "Mended", grid: "Grid", wanted: int | None, ctx: Context) -> None:
    """Turn what was done into findings."""
    gaps = [b for b in mended.bridges if b.kind == "gap"]
    contacts = len(mended.bridges) - len(gaps)
    few = wanted is not None and mended.trees < wanted
    text = f"{mended.trees} trees (26-connected); wanted {wanted or 'as many as found'}"
    ctx.finding("too-few-trees" if few else "trees", "warning" if few else "info", text, value=mended.trees)
    if gaps:
        worst = min(b.probability for b in gaps)
        length = sum(b.link.gap_mm(grid.spacing) for b in gaps)
        text = f"{len(gaps)} gaps bridged over {length:.1f} mm, the least likely with p = {worst:.3f}; "
        ctx.finding("bridges", "warning", text + "each may be an occlusion", value=len(gaps))
    if contacts:
        text = f"{contacts} contacts by an edge or a corner were made faces"
        ctx.finding("contacts-joined", "info", text, value=contacts)
    if mended.cavity_voxels:
        text = f"{mended.cavity_voxels} enclosed voxels were filled"
        ctx.finding("cavities-filled", "info", text, value=mended.cavity_voxels)
    for kind, code, words in (("component", "components-removed", "components dropped"), ("cut", "loops-cut", "cuts")):
        volumes = [part.voxels * grid.voxel_volume_mm3 for part in mended.removed if part.kind == kind]
        if volumes:
            text = f"{len(volumes)} {words}, {sum(volumes):.2f} mm^3, the largest {max(volumes):.2f} mm^3"
            ctx.finding(code, "warning", text, value=sum(volumes))
    if mended.refused:
        text = f"{len(mended.refused)} bridges refused, the cheapest ({mended.refused[0].reason}) of "
        text += f"{mended.refused[0].link.gap_mm(grid.spacing):.1f} mm with p = {mended.refused[0].probability:.3f}"
        ctx.finding("bridges-refused", "info", text, value=len(mended.refused))
    if mended.face_parts > mended.trees:
        text = f"{mended.face_parts} parts at 6-connectivity for {mended.trees} trees: no flux can join them"
        ctx.finding("not-face-connected", "warning", text, value=mended.face_parts)
