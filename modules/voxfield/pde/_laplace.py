"""The stage `pde.laplace`: coordinates between two labelled surfaces, and the thickness of what lies between."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Gt, Lt

from voxfield.artifacts import LabelMap, Metrics, PartialImage, Picture
from voxfield.errors import InputError, SettingsError, about
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.pde.voxels._thickness import Coordinates

THIN_VOXELS = 3.0


class Laplace(NamedTuple):
    """What `pde.laplace` makes; NaN in both images outside the region and where no field line leads.

    coordinate  (x, y, z) 0 at the inner surface to 1 at the outer one
    thickness   (x, y, z) mm
    metrics     thickness in numbers, how well the system is solved, and what the voxels leave open
    picture     both in three planes
    """

    coordinate: PartialImage
    thickness: PartialImage
    metrics: Metrics
    picture: Picture


@stage(resources=Resources(mem_mb=6000, runtime=20), version=1)
def laplace(
    labels: LabelMap,
    *,
    region: int | str = 1,
    inner: int | str = 2,
    outer: int | str = 3,
    tolerance: Annotated[float, Gt(0), Lt(1e-4)] = 1e-10,
    ctx: Context = Context(),
) -> Laplace:
    """Laplace coordinates and thickness of a region between two surfaces, such as cortex between white matter and pia.

    labels  (x, y, z) the region and what lies on both of its sides, each with a label of its own, without shear

    The coordinate is harmonic in the region, 0 where it meets the inner label, 1 where it meets the outer one, and
    insulated against everything else. The thickness at a voxel is the length in mm of the field line through it from
    surface to surface, from the two first-order equations of Yezzi and Prince (IEEE Trans. Med. Imaging 22, 2003).
    Surfaces lie on the faces of voxels.

    Voxels in parts of the region that do not touch both surfaces have neither coordinate nor thickness (NaN).
    `staircase_sd_mm` in the metrics says what the voxels leave open: the standard deviation of a length whose
    two ends lie anywhere within a voxel. On spherical shells 4 to 14 voxels thick the error was half of it (root mean
    square), with a mean within .06 voxels. Regions of fewer than three voxels across are told.

    Findings: unreached, no-field-line, thin-region, not-converged.

    Settings
    region: label or name of the region
    inner: label or name of the surface where the coordinate is 0
    outer: label or name of the surface where it is 1
    tolerance: relative residual of the linear system

    Raises InputError for a sheared grid and where a label is absent or does not touch the region; SettingsError where
    two labels are the same or a name is not declared.
    """
    from voxfield.pde._mask import spacing_mm
    from voxfield.pde.voxels import laplace_coordinates

    values = {role: _label(labels, role, wanted) for role, wanted in _roles(region, inner, outer)}
    if len(set(values.values())) < len(values):
        raise SettingsError(f"pde.laplace: region, inner and outer are {values}; expected three different labels")
    for role, value in values.items():
        if value not in labels.present():
            found = ", ".join(map(str, labels.present()))
            raise InputError(f"no voxel has the label {value} ({role}); found {found}", file=labels.file)
    spacing = spacing_mm(labels)
    with about(labels.file):
        made = laplace_coordinates(labels.data, **values, spacing=spacing, rtol=tolerance)
    _tell(made, spacing, tolerance, ctx)
    return _packed(made, labels, spacing)


def _roles(*labels: int | str) -> list[tuple[str, int | str]]:
    return list(zip(("region", "inner", "outer"), labels, strict=True))


def _label(labels: LabelMap, role: str, wanted: int | str) -> int:
    """The value that a label or a name means."""
    if isinstance(wanted, int):
        return wanted
    for value, name in labels.labels.items():
        if name == wanted:
            return value
    known = ", ".join(f"{value} ({name})" for value, name in labels.labels.items()) or "none"
    raise SettingsError(f"pde.laplace: setting '{role}' is {wanted!r}; expected a label or one of the names: {known}")


def _tell(made: "Coordinates", spacing: tuple[float, float, float], tolerance: float, ctx: Context) -> None:
    """Turn what is missing or doubtful into findings."""
    import numpy as np

    unreached = np.isnan(made.values)
    if unreached.all():
        raise InputError("no part of the region touches both surfaces; expected at least one")
    if unreached.any():
        text = f"{unreached.sum()} of {unreached.size} voxels lie in parts that do not touch both surfaces"
        ctx.finding("unreached", "warning", text, value=int(unreached.sum()))
    lost = np.isnan(made.thickness) & ~unreached
    if lost.any():
        text = f"{lost.sum()} voxels have a coordinate but no field line: it is flat there to round-off"
        ctx.finding("no-field-line", "warning", text, value=int(lost.sum()))
    thin = np.mean(made.thickness[~np.isnan(made.thickness)] < THIN_VOXELS * max(spacing))
    if thin > 0:
        text = f"{thin:.0%} of the voxels lie where the region is fewer than {THIN_VOXELS:g} voxels thick: "
        ctx.finding(
            "thin-region", "info", text + "the staircase of its walls shows in the thickness", value=float(thin)
        )
    if made.residual > tolerance:
        text = f"the linear system has a relative residual of {made.residual:.1e}; wanted {tolerance:.0e}"
        ctx.finding("not-converged", "warning", text, value=made.residual)


def _packed(made: "Coordinates", labels: LabelMap, spacing: tuple[float, float, float]) -> Laplace:
    import numpy as np

    from voxfield.pde._figure import Row, plane_figure

    coordinate, thickness = (made.domain.dense(values, fill=np.nan) for values in (made.values, made.thickness))
    rows = [
        Row("coordinate", coordinate, np.linspace(0.1, 0.9, 9).tolist(), 0.0, 1.0),
        Row("thickness, mm", thickness, (), 0.0),
    ]
    return Laplace(
        PartialImage(coordinate, labels.affine),
        PartialImage(thickness, labels.affine, unit="mm"),
        Metrics(_numbers(made)),
        plane_figure(rows, spacing, np.where(np.isnan(coordinate), 0.0, 1.0)),
    )


def _numbers(made: "Coordinates") -> dict[str, Any]:
    import numpy as np

    found = made.thickness[~np.isnan(made.thickness)]
    return {
        "voxels": made.domain.size,
        "voxels_with_thickness": len(found),
        "thickness_mean_mm": float(found.mean()),
        "thickness_sd_mm": float(found.std()),
        "thickness_percentiles_mm": {str(q): float(np.percentile(found, q)) for q in (5, 25, 50, 75, 95)},
        "staircase_sd_mm": made.staircase,
        "residual": made.residual,
        "iterations": made.iterations,
    }
