"""The stage `pde.evaluate`: estimated pressure drops against a known pressure."""

from typing import TYPE_CHECKING, Any, NamedTuple

from voxfield.artifacts import Image, LabelMap, Metrics, Table
from voxfield.errors import InputError
from voxfield.intervals import NORMAL_95
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.pde._domain import Ints, VoxelDomain
    from voxfield.pde._openings import BoundaryFaces

FIRST_OPENING = 2


class PressureMetrics(NamedTuple):
    """What `pde.evaluate` makes."""

    metrics: Metrics


@stage(resources=Resources(mem_mb=2000, runtime=10), version=2)
def evaluate(
    drops: Table,
    truth: Image,
    lumen: LabelMap,
    openings: LabelMap,
    *,
    ctx: Context = Context(),
) -> PressureMetrics:
    """Error of the pressure drop from the reference opening to every other one.

    drops     table of `pde.pressure`: opening, pressure_pa, sd_pa, reference
    truth     (x, y, z) pressure in Pa, known in the voxels of `lumen`
    lumen     (x, y, z) the true lumen, voxels above 0, same grid as `truth`
    openings  (x, y, z) the openings that the estimate used, same grid as `truth`

    The true pressure of an opening is the mean of `truth` over the faces between the lumen and its cap, carried there
    from the two voxels behind each face: those that touch the cap lie half a voxel before the plane, which is 1 % of a
    drop along 50 voxels. An opening that the true lumen does not touch is left out and told (`opening-off-truth`).

    Settings
    none

    Raises InputError when the grids differ or no opening besides the reference can be judged.
    """
    for other in (lumen, openings):
        if not other.grid.same_as(truth.grid):
            found = f"lies on another grid ({other.grid}) than the true pressure ({truth.grid})"
            raise InputError(found, file=other.file)
    true = _opening_pressures(truth, lumen, openings)
    rows, reference = _rows(drops)
    judged: list[dict[str, Any]] = []
    for row in rows:
        opening = int(row["opening"])
        if opening not in true or reference not in true:
            ctx.finding("opening-off-truth", "info", f"opening {opening} or the reference lies off the true lumen")
            continue
        expected = true[opening] - true[reference]
        error = float(row["pressure_pa"]) - expected
        judged.append({
            "opening": opening,
            "true_pa": expected,
            "estimate_pa": float(row["pressure_pa"]),
            "sd_pa": row["sd_pa"],
            "error_pa": error,
            "relative_error": error / abs(expected) if expected else None,
            "inside_95": None if row["sd_pa"] is None else abs(error) <= NORMAL_95 * row["sd_pa"],
        })  # fmt: skip
    if not judged:
        found = "no opening besides the reference touches the true lumen; nothing can be judged"
        raise InputError(found, file=drops.file)
    scale = sum(item["true_pa"] ** 2 for item in judged) ** 0.5
    values = {
        "openings": judged,
        "relative_l2": sum(item["error_pa"] ** 2 for item in judged) ** 0.5 / scale if scale else None,
        "inside_95": sum(bool(item["inside_95"]) for item in judged),
        "judged": len(judged),
    }
    return PressureMetrics(Metrics(values))


def _rows(drops: Table) -> tuple[list[dict[str, Any]], int]:
    """Rows other than the reference, and the label of the reference."""
    rows = drops.rows()
    reference = [int(row["opening"]) for row in rows if row["reference"]]
    if not reference:
        raise InputError("marks no opening as the reference; expected one row with reference 1", file=drops.file)
    return [row for row in rows if not row["reference"] and row["pressure_pa"] is not None], reference[0]


def _opening_pressures(truth: Image, lumen: LabelMap, openings: LabelMap) -> dict[int, float]:
    """Mean true pressure over the plane of each opening, Pa."""
    import numpy as np

    from voxfield.pde._domain import VoxelDomain
    from voxfield.pde._openings import boundary_faces, opening_plane

    caps = np.asarray(openings.data)
    x, y, z = truth.grid.spacing.tolist()
    inside = (np.asarray(lumen.data) > 0) & ~_caps_outside(caps, np.asarray(lumen.data))
    domain = VoxelDomain(inside, (x, y, z))
    values = np.asarray(truth.data, dtype=float)[inside]
    found = {}
    for label, faces in boundary_faces(domain, caps).items():
        if label >= FIRST_OPENING:
            behind = _behind(domain, faces)
            at_faces = values[faces.cells] + (values[faces.cells] - values[behind]) / 2
            found[label] = float(opening_plane(domain, faces).weights @ at_faces)
    return found


def _behind(domain: "VoxelDomain", faces: "BoundaryFaces") -> "Ints":
    """The unknown (f,) on the other side of the one at each face, or that itself where there is none."""
    import numpy as np

    behind = faces.cells.copy()
    for axis in range(3):
        for sign in (-1, 1):
            inward = domain.neighbour((-sign * (axis == 0), -sign * (axis == 1), -sign * (axis == 2)))
            here = np.flatnonzero((faces.axes == axis) & (faces.signs == sign))
            here = here[inward[faces.cells[here]] < domain.size]
            behind[here] = inward[faces.cells[here]]
    return behind


def _caps_outside(caps: "NDArray[Any]", lumen: "NDArray[Any]") -> "NDArray[np.bool_]":
    """Cap voxels that cut the true lumen; on the faces of the field of view the label lies in the lumen itself."""
    import numpy as np

    cut: NDArray[np.bool_] = (caps >= FIRST_OPENING) & (lumen > 0)
    for axis, size in enumerate(cut.shape):
        edge: list[slice | list[int]] = [slice(None)] * 3
        edge[axis] = [0, size - 1]
        cut[tuple(edge)] = False
    return cut
