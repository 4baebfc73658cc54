"""VectorImage: one world vector a voxel and frame. PartialVectorImage: the same, with vectors missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._nifti._layout import VECTOR_INTENT
from voxfield.artifacts._nifti._note import Note
from voxfield.artifacts._nifti._writer import write_nifti
from voxfield.artifacts._order import reordered
from voxfield.artifacts._values import real_values, require_finite
from voxfield.artifacts._volume import Volume, as_array
from voxfield.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from voxfield.artifacts._nifti._header import Header


class PartialVectorImage(Volume):
    """A vector field on a grid that may have gaps: where nothing was measured, the vector is NaN.

    data    (x, y, z, t, 3) float32; the components lie along the world axes, RAS+; NaN in any component is a gap
    affine  (4, 4) voxel index to world, mm, RAS+
    unit    of the components, such as "m/s"; None where nobody stated it, which stages that compute refuse

    A stage that knows what to do about gaps says `PartialVectorImage`; all others are safe from them by `VectorImage`.
    """

    gaps_allowed: ClassVar[bool] = True
    expected: ClassVar[str] = "finite numbers, or NaN where nothing was measured"

    def __init__(self, data: ArrayLike, affine: ArrayLike, *, unit: str | None = None) -> None:
        import numpy as np

        array = as_array(data, self.kind)
        if array.ndim == 4:
            array = array[:, :, :, None]
        if array.ndim != 5 or array.shape[4] != 3:
            raise InputError(
                f"a vector image is (x, y, z, t, 3) or (x, y, z, 3); the array given has shape {np.shape(data)}"
            )
        super().__init__(reordered(array, np.float32, "C"), affine)
        self.unit = unit

    @classmethod
    def _expected_shape(cls, header: Header, inspection: Inspection) -> tuple[int, ...]:
        shape = header.shape
        if len(shape) != 5 or shape[4] != 3:
            inspection.refuse(
                f"has dimensions {' x '.join(map(str, shape))}; expected 5: x, y, z, t and 3 components, "
                "one vector a voxel"
            )
        if header.intent != VECTOR_INTENT:
            inspection.note(
                "vector-intent",
                "warning",
                f"intent code is {header.intent}, not 1007 (vector); read as vectors",
                header.intent,
            )
        return shape

    def _from_header(self, header: Header) -> None:
        self.unit = header.note.unit

    def _convert(self, stored: NDArray[Any], header: Header, inspection: Inspection) -> NDArray[Any]:
        values = real_values(stored, header.scaling, inspection, gaps=self.gaps_allowed, expected=self.expected)
        return values.astype("f4", copy=False)

    def _judge(self, data: NDArray[Any], inspection: Inspection) -> None:
        low, high = require_finite(data, inspection, "components", gaps=self.gaps_allowed, expected=self.expected)
        if low == high == 0:
            inspection.note("zero-field", "warning", "every vector is zero")
        if self.unit is None:
            inspection.note("unit-not-stated", "info", "the unit of the vectors is not stated")

    def save(self, path: str | Path) -> None:
        """Write `.nii.gz` (or `.nii`): dims x, y, z, t, 3 and intent code 1007."""
        write_nifti(path, self.data, self.affine, Note(unit=self.unit), intent=VECTOR_INTENT)


class VectorImage(PartialVectorImage):
    """A vector field on a grid, with a finite vector in every voxel and frame."""

    gaps_allowed = False
    expected = "finite numbers (NaN for what was not measured is for a PartialVectorImage, as fields.reconstruct takes)"
