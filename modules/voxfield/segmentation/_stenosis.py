"""The stage `segmentation.stenosis`: how narrow each vessel is, where, how sure that is, and what has no percentage.

How it works stands in `segmentation.tree`: `_vessels` (branches joined past their twigs), `_narrowing` (throats,
parallel walls, NASCET and WASID), `_walls` (standard deviations), `_grades` (near-occlusion, occlusion).
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Centerline, Image, Metrics, Table
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.segmentation.tree._stenoses import Stenosis
    from voxfield.segmentation.tree._walls import Likelihood

COLUMNS = (
    "vessel", "method", "grade", "degree_percent", "sd_percent", "at_least_percent", "x_mm", "y_mm", "z_mm",
    "from_root_mm", "d_min_mm", "d_min_sd_mm", "d_reference_mm", "d_reference_sd_mm", "reference", "reference_x_mm",
    "reference_y_mm", "reference_z_mm", "d_proximal_mm", "d_sibling_mm", "bridge_mm", "reason",
)  # fmt: skip
BEYOND = 3  # voxels that an end may lie outside the field of view


class Stenoses(NamedTuple):
    """What `segmentation.stenosis` makes."""

    stenoses: Table
    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=10), version=2)
def stenosis(
    centerline: Centerline,
    probability: Image | None = None,
    *,
    method: Literal["nascet", "wasid"] = "nascet",
    parallel_diameters: Annotated[float, Ge(0.5), Le(10)] = 2.0,
    min_reference_voxels: Annotated[float, Ge(0)] = 3.0,
    voxel_mm: Annotated[float, Gt(0)] | None = None,
    contralateral_mm: Annotated[float, Gt(0)] | None = None,
    ctx: Context = Context(),
) -> Stenoses:
    """Measure the narrowest place of every vessel.

    centerline   tree with radii, mm, as `segmentation.centerline` makes it
    probability  (x, y, z) of the lumen, 0 to 1; gives sub-voxel diameters and how sure the wall is

    Returns `stenoses`, one row a vessel (a branch, joined with the next past side branches of at most half its radius)
    and one a bridge, parents first: the degree 1 - d_min / d_reference with its standard deviation, %; the throat and
    its way from the root, mm; both diameters with standard deviations; where the reference lies (distal, proximal or
    feeding) and its middle, mm; the normal diameter before the throat, and that of the widest sibling at the division
    from which the vessel comes; the length of a bridge; why a vessel is not gradable. The degree is n/a for the
    classes without a percentage; where a vessel widens again behind its throat but has no reference there,
    `at_least_percent` compares with its widest place beyond. `metrics` has the number of vessels of each grade, the
    meaning of the grades and the row with the largest degree.

    A reference is a stretch of `parallel_diameters` diameters with parallel walls, the widest of several: every radius
    within a tenth of their median, so that |dr/ds| is at most 0.05 on average over two diameters. nascet: distal to
    the throat. wasid: proximal in the same vessel, else distal, else the nearest one in the vessel that feeds it.
    Grades: none (below two standard deviations), mild (below 50 %), moderate (below 70 %), severe. near-occlusion
    (nascet only): at least three of throat <= 1.3 mm, distal <= 3.5 mm, distal <= 0.87 of `contralateral_mm`, distal
    <= 1.27 of the sibling (Bartlett et al., 2006, for the internal carotid), and distal <= 0.6 of the diameter before
    the throat. occlusion: a bridge, which may be a gap of the segmentation. not gradable: no reference (also where
    only a narrower place has none, although the vessel widens beyond it), or a reference of fewer than
    `min_reference_voxels` voxels across.

    The standard deviation holds the wall, drawn from the probability at throat and reference independently, and the
    error of a radius on a grid (0.052 voxels at a throat, 0.025 for a reference, measured on exact tubes). Without a
    probability it holds the grid alone: the least that it can be.

    Settings
    method: nascet for the extracranial internal carotid, wasid inside the skull
    parallel_diameters: length of a reference, in its own diameters
    min_reference_voxels: narrower references are not graded
    voxel_mm: largest voxel edge of the segmentation, mm; none takes that of the probability
    contralateral_mm: distal diameter of the same vessel on the other side, for near-occlusion, mm

    Raises SettingsError without both a probability and `voxel_mm`; InputError for a centerline without a node, values
    that are no probabilities, a sheared grid, or a probability that does not hold the centerline.
    """
    from voxfield.segmentation.tree._stenoses import Rules, stenoses_of

    if not len(centerline):
        raise InputError("the centerline has no node; expected a tree", file=centerline.file)
    likelihood = None if probability is None else _likelihood(probability, centerline)
    if likelihood is not None:
        voxel_mm = voxel_mm or float(likelihood.grid.spacing.max())
    if voxel_mm is None:
        raise SettingsError("voxel_mm is not set and there is no probability to take it from; give one of them")
    found = stenoses_of(
        centerline, likelihood, Rules(method, parallel_diameters, min_reference_voxels, voxel_mm, contralateral_mm)
    )
    rows = [_row(entry, centerline, method) for entry in found]
    metrics = _metrics(rows, method, voxel_mm)
    _report(metrics, ctx)
    return Stenoses(Table.from_rows(rows, COLUMNS), Metrics(metrics))


def _likelihood(probability: Image, centerline: Centerline) -> "Likelihood":
    import numpy as np

    from voxfield.segmentation.tree._walls import Likelihood

    values, grid = probability.data, probability.grid
    if values.ndim != 3:
        raise InputError(f"has shape {values.shape}; expected a 3D probability", file=probability.file)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise InputError(f"holds values from {low:g} to {high:g}; a probability is 0 to 1", file=probability.file)
    if not grid.is_orthogonal():
        raise InputError("the grid is sheared; sections need right angles", file=probability.file)
    index = grid.index(centerline.points)
    outside = ((index < -BEYOND) | (index > np.array(grid.shape) + BEYOND)).any(axis=1)
    if outside.any():
        text = (
            f"{int(outside.sum())} of {len(centerline)} nodes of the centerline lie outside the probability; expected"
        )
        raise InputError(f"{text} the probability that the centerline was made from", file=probability.file)
    return Likelihood(values.astype(np.float32), grid)


def _row(entry: "Stenosis", line: Centerline, method: str) -> dict[str, Any]:
    """A row of the table; percentages only where the grade has one."""
    row: dict[str, Any] = {
        "vessel": entry.vessel,
        "method": method,
        "grade": entry.grade,
        "from_root_mm": entry.from_root,
    }
    row |= {f"{axis}_mm": value for axis, value in zip("xyz", entry.place.tolist(), strict=True)}
    row |= {"d_proximal_mm": entry.before, "d_sibling_mm": entry.sibling, "bridge_mm": entry.length}
    row["reason"] = entry.reason or None
    if entry.at_least is not None:
        row |= {
            "d_min_mm": 2 * float(line.radii[entry.at_least.throat]),
            "at_least_percent": 100 * entry.at_least.degree,
        }
    found, numbers = entry.found, entry.measured
    if found is None or numbers is None:
        return row
    middle = line.points[found.reference.nodes[len(found.reference.nodes) // 2]]
    row |= {f"reference_{axis}_mm": value for axis, value in zip("xyz", middle.tolist(), strict=True)}
    row |= {
        "d_min_mm": 2 * numbers.throat, "d_min_sd_mm": 2 * numbers.throat_sd, "d_reference_mm": 2 * numbers.segment,
        "d_reference_sd_mm": 2 * numbers.segment_sd, "reference": found.where,
    }  # fmt: skip
    if entry.grade in ("none", "mild", "moderate", "severe"):
        row |= {"degree_percent": max(0.0, 100 * numbers.degree), "sd_percent": 100 * numbers.degree_sd}
    return row


def _metrics(rows: list[dict[str, Any]], method: str, voxel_mm: float) -> dict[str, Any]:
    from voxfield.segmentation.tree._grades import DEFINITIONS

    graded = [row for row in rows if row.get("degree_percent") is not None]
    worst = max(graded, key=lambda row: float(row["degree_percent"]), default=None)
    return {
        "method": method,
        "voxel_mm": voxel_mm,
        "vessels": sum(row["bridge_mm"] is None for row in rows),
        "grades": {grade: sum(row["grade"] == grade for row in rows) for grade in DEFINITIONS},
        "definitions": DEFINITIONS,
        "largest": worst and {name: worst.get(name) for name in COLUMNS},
    }


def _report(metrics: dict[str, Any], ctx: Context) -> None:
    """Turn what was seen into findings."""
    worst, grades = metrics["largest"], metrics["grades"]
    if worst is not None and worst["grade"] in ("moderate", "severe"):
        place = ", ".join(f"{worst[f'{axis}_mm']:.1f}" for axis in "xyz")
        text = f"{worst['grade']}: {worst['degree_percent']:.0f} +- {worst['sd_percent']:.0f} % at ({place}) mm"
        ctx.finding("stenosis", "warning", text, value=worst["degree_percent"])
    for grade in ("near-occlusion", "occlusion"):
        if grades[grade]:
            text = f"{grades[grade]} of {grade}: {metrics['definitions'][grade]}"
            ctx.finding(grade, "warning", text, value=grades[grade])
    if grades["not gradable"]:
        text = f"{grades['not gradable']} of {metrics['vessels']} vessels: {metrics['definitions']['not gradable']}"
        ctx.finding("not-gradable", "info", text, value=grades["not gradable"])
