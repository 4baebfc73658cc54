"""The affine rule: one order of precedence, millimetres, and every disagreement told.

1. The sform where its code is above 0; otherwise the qform where its code is above 0; otherwise the file is
   refused.
2. The spatial unit of the header (metre, millimetre, micrometre) is converted to millimetres; unknown counts
   as mm.
3. What Voxfield wrote keeps the full digits of its affine in an extension, used where they round to the
   sform.
4. Shear, a second form that disagrees, and voxel sizes that disagree are findings; an affine that is not
   finite or not invertible is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._grid import SHEAR_TOLERANCE, Grid, affine_fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.artifacts._nifti._layout import Fields

NIFTI1_SIZE = 348
UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
UNIT_NAMES = {1: "metre", 3: "micrometre"}
SPACING_TOLERANCE = 1e-3  # relative
# A quaternion of three float32 loses up to 3e-4 rad near half a turn: so little is rounding.
FORM_TOLERANCE_VOXELS = 0.1
MAX_ANISOTROPY = 20.0


def affine_of(
    fields: Fields, shape: tuple[int, ...], digits: list[float] | None, inspection: Inspection
) -> NDArray[np.float64]:
    """Voxel index to world, (4, 4), mm, RAS+, by the rule above. `shape` is (x, y, z)."""
    scale = _scale_to_mm(fields, inspection)
    if fields.sform_code > 0:
        affine = _sform(fields, digits)
        affine[:3] *= scale
        _require_usable(affine, "sform", inspection)
        _compare_spacing(fields, affine, scale, inspection)
        if fields.qform_code > 0:
            _compare_qform(fields, affine, scale, shape, inspection)
    elif fields.qform_code > 0:
        fault = qform_fault(fields)
        if fault:
            inspection.refuse(f"{fault}, and there is no sform; the orientation can not be known")
        affine = qform(fields)
        affine[:3] *= scale
        _require_usable(affine, "qform", inspection)
    else:
        inspection.refuse(
            "sform and qform codes are both 0: the orientation (affine) is unknown; set one of them in the header"
        )
    _note_odd_axes(Grid(shape, affine), inspection)
    return affine


def qform(fields: Fields) -> NDArray[np.float64]:
    """The affine of the quaternion, in the file's unit (NIfTI-1 standard, method 2)."""
    import numpy as np

    b, c, d = (float(q) for q in fields.quatern)
    square = 1.0 - (b * b + c * c + d * d)
    if square < 3 * np.finfo(np.float32 if fields.sizeof_hdr == NIFTI1_SIZE else np.float64).eps:
        # Half a turn: what is left of the first part is rounding of the others.
        b, c, d = np.array([b, c, d]) / np.sqrt(b * b + c * c + d * d)
        square = 0.0
    a = np.sqrt(square)
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip
    qfac = -1.0 if fields.pixdim[0] < 0 else 1.0  # 0 is read as 1, by the standard
    affine = np.eye(4)
    affine[:3, :3] = rotation * (np.array(fields.pixdim[1:4]) * [1.0, 1.0, qfac])
    affine[:3, 3] = fields.qoffset
    return affine


def qform_fault(fields: Fields) -> str | None:
    """Why the qform can not be used; None where it can."""
    import numpy as np

    if not np.isfinite([*fields.quatern, *fields.qoffset]).all():
        return "the qform holds NaN or infinite entries"
    square = sum(q * q for q in fields.quatern)
    if square > 1 + 1e-5:
        return f"the quaternion of the qform is invalid: b^2 + c^2 + d^2 = {square:g} > 1"
    spacing = fields.pixdim[1:4]
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        return f"the qform needs a voxel spacing, and pixdim is {', '.join(f'{s:g}' for s in spacing)}"
    return None


def _sform(fields: Fields, digits: list[float] | None) -> NDArray[np.float64]:
    import numpy as np

    affine = np.eye(4)
    affine[:3] = np.reshape(fields.srow, (3, 4))
    if digits is not None:
        full = np.reshape(np.array(digits, dtype=np.float64), (3, 4))
        if np.array_equal(full.astype(np.float32), affine[:3].astype(np.float32)):
            affine[:3] = full
    return affine


def _scale_to_mm(fields: Fields, inspection: Inspection) -> float:
    unit = fields.xyzt_units & 7
    if unit not in UNITS_MM:
        inspection.note("unit-unknown", "warning", f"spatial unit code {unit} is undefined; read as millimetres", unit)
        return 1.0
    if unit in UNIT_NAMES:
        inspection.note(
            "unit-converted",
            "info",
            f"the header's spatial unit is the {UNIT_NAMES[unit]}; converted to millimetres",
        )
    return UNITS_MM[unit]


def _require_usable(affine: NDArray[np.float64], form: str, inspection: Inspection) -> None:
    fault = affine_fault(affine)
    if fault:
        inspection.refuse(f"{form}: {fault}")


def _compare_spacing(fields: Fields, affine: NDArray[np.float64], scale: float, inspection: Inspection) -> None:
    import numpy as np

    given = np.array(fields.pixdim[1:4], dtype=np.float64) * scale
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.abs(given - spacing) <= SPACING_TOLERANCE * spacing).all():  # NaN disagrees too
        inspection.note(
            "spacing-disagrees", "warning",
            f"pixdim gives a spacing of {_numbers(given)} mm, the sform one of {_numbers(spacing)} mm; "
            "they disagree, "
            "the sform is used",
        )  # fmt: skip


def _compare_qform(
    fields: Fields, affine: NDArray[np.float64], scale: float, shape: tuple[int, ...], inspection: Inspection
) -> None:
    fault = qform_fault(fields)
    if fault:
        inspection.note("qform-unusable", "warning", f"{fault}; the sform is used")
        return
    second = qform(fields)
    second[:3] *= scale
    distance = Grid(shape, second).distance(Grid(shape, affine))
    if distance > FORM_TOLERANCE_VOXELS:
        inspection.note(
            "forms-disagree", "warning",
            f"sform and qform disagree by up to {distance:.3g} voxels; the sform is used", distance,
        )  # fmt: skip


def _note_odd_axes(grid: Grid, inspection: Inspection) -> None:
    if grid.shear > SHEAR_TOLERANCE:
        inspection.note(
            "sheared-axes", "warning",
            f"the voxel axes are not orthogonal (shear): the largest cosine between two is {grid.shear:.4g}",
            grid.shear,
        )  # fmt: skip
    ratio = float(grid.spacing.max() / grid.spacing.min())
    if ratio > MAX_ANISOTROPY:
        inspection.note(
            "anisotropic", "warning",
            f"spacing {_numbers(grid.spacing)} mm is anisotropic: one axis is {ratio:.3g} times "
            "coarser than another",
            ratio,
        )  # fmt: skip


def _numbers(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:g}" for value in values)
