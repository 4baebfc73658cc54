"""Stored voxels to values: scaling applied, exactness kept or told, what is not finite refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._order import reordered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT_FLOAT32 = 2**24
EXACT_FLOAT64 = 2**53
LARGEST_INT64 = 2**63 - 1
FINITE = "finite numbers"
Scaling = tuple[float, float] | None


def real_values(
    stored: NDArray[Any], scaling: Scaling, inspection: Inspection, *, gaps: bool = False, expected: str = FINITE
) -> NDArray[Any]:
    """Scalar values, C order: int16 where at most 16 signed bits are stored unscaled, otherwise float32.

    gaps, expected  as in `require_finite`
    """
    import numpy as np

    low, high = _finite_range(stored, inspection, gaps=gaps, expected=expected)
    if scaling is None and stored.dtype in (np.int8, np.uint8, np.int16):
        return reordered(stored, np.int16, "C")
    if scaling is not None:
        return _scaled(stored, scaling, inspection)
    if stored.dtype.kind in "iu":
        if not -LARGEST_INT64 - 1 <= low <= high <= LARGEST_INT64:
            inspection.refuse(f"holds {stored.dtype} values up to {high}, out of the range of int64")
        if max(abs(low), abs(high)) > EXACT_FLOAT32:
            inspection.note(
                "precision-lost", "warning",
                f"holds {stored.dtype} values up to {max(abs(low), abs(high))}: float32 is not exact "
                "beyond 2^24",
            )  # fmt: skip
    largest = float(np.finfo(np.float32).max)
    if max(abs(low), abs(high)) > largest:
        inspection.refuse(f"holds values up to {max(abs(low), abs(high)):g}; expected at most {largest:g} (float32)")
    return reordered(stored, np.float32, "C")


def integer_values(stored: NDArray[Any], scaling: Scaling, inspection: Inspection) -> NDArray[Any]:
    """Labels, C order, in the narrowest of uint8, int16, int32 and int64; refuses what is not exactly an "
    "integer."""
    import numpy as np

    low, high = _finite_range(stored, inspection)
    values = stored
    if scaling is not None:
        values = stored.astype(np.float64) * scaling[0] + scaling[1]
    if values.dtype.kind == "f":
        _require_integers(values, scaling, inspection)
        low, high = int(values.min()), int(values.max())
    if not -LARGEST_INT64 - 1 <= low <= high <= LARGEST_INT64:
        inspection.refuse(f"holds labels from {low} to {high}, out of the range of int64")
    if max(abs(low), abs(high)) > EXACT_FLOAT64:
        inspection.note(
            "label-precision", "warning",
            f"holds labels up to {high} ({stored.dtype}): readers that use float64 are not exact beyond 2^53",
            high,
        )  # fmt: skip
    return reordered(values, narrowest(int(low), int(high)), "C")


def narrowest(low: int, high: int) -> np.dtype[Any]:
    """The narrowest of uint8, int16, int32 and int64 that holds both; the types that torch computes with."""
    import numpy as np

    for kind in (np.uint8, np.int16, np.int32):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.int64)


def require_finite(
    values: NDArray[Any], inspection: Inspection, what: str = "values", *, gaps: bool = False, expected: str = FINITE
) -> tuple[Any, Any]:
    """Smallest and largest of floating-point values; refuses NaN and Infinity.

    gaps      whether NaN is a value that is missing; then only Infinity is refused, and NaN without any number
    expected  what the error asks for
    """
    import numpy as np

    if gaps:
        low, high = np.fmin.reduce(values, axis=None).item(), np.fmax.reduce(values, axis=None).item()
        if np.isnan(low):
            inspection.refuse(f"all {values.size:,} {what} are NaN: nothing was measured")
    else:
        low, high = values.min().item(), values.max().item()  # NaN and infinities show in one of the two
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = np.isinf(values) if gaps else ~np.isfinite(values)
        first = ", ".join(str(index) for index in np.argwhere(bad)[0])
        kind = "NaN" if np.isnan(values[bad]).any() else "Infinity"
        inspection.refuse(
            f"{int(bad.sum()):,} of {values.size:,} {what} are not finite ({kind}), the first at index "
            f"({first}); expected {expected}"
        )
    return low, high


def _finite_range(
    stored: NDArray[Any], inspection: Inspection, *, gaps: bool = False, expected: str = FINITE
) -> tuple[Any, Any]:
    if stored.dtype.kind == "f":
        return require_finite(stored, inspection, "voxels", gaps=gaps, expected=expected)
    return stored.min().item(), stored.max().item()


def _scaled(stored: NDArray[Any], scaling: tuple[float, float], inspection: Inspection) -> NDArray[np.float32]:
    """slope * stored + inter in double precision, rounded once; plane by plane to spare memory."""
    import numpy as np

    slope, inter = scaling
    values = np.empty(stored.shape, dtype=np.float32)
    with np.errstate(over="ignore"):
        for plane in range(stored.shape[-1]):
            values[..., plane] = stored[..., plane].astype(np.float64) * slope + inter
    low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)  # NaN was judged as stored
    if not (np.isfinite(low) and np.isfinite(high)):
        inspection.refuse(f"scl_slope {slope:g} and scl_inter {inter:g} give values that float32 can not hold")
    return values


def _require_integers(values: NDArray[Any], scaling: Scaling, inspection: Inspection) -> None:
    import numpy as np

    wrong = values != np.rint(values)
    if wrong.any():
        example = values[tuple(np.argwhere(wrong)[0])]
        cause = f"; scl_slope {scaling[0]:g} and scl_inter {scaling[1]:g} were applied" if scaling else ""
        inspection.refuse(
            f"{int(wrong.sum()):,} labels are not integers, such as {example:g}{cause}; expected a label map "
            "(resampled with interpolation, or an image given as a mask?)"
        )
    if max(abs(float(values.min())), abs(float(values.max()))) >= 2.0**63:
        inspection.refuse(f"holds labels up to {float(values.max()):g}, out of the range of int64")
