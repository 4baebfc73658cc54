"""Image: one number a voxel. PartialImage: the same, with numbers missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._nifti._note import Note
from voxfield.artifacts._nifti._writer import write_nifti
from voxfield.artifacts._order import reordered
from voxfield.artifacts._values import real_values, require_finite
from voxfield.artifacts._volume import Volume, as_array
from voxfield.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from voxfield.artifacts._nifti._header import Header


class Image(Volume):
    """A scalar volume.

    data    (x, y, z) or, with time, (x, y, z, t); float32, or int16 where a scanner stored integers
    affine  (4, 4) voxel index to world, mm, RAS+
    unit    of the values, such as "Pa"; None where it is unknown
    bits    8 or 16 for values from 0 to 1 that are rounded to as many and stored so; None keeps them as they are

    Read from a file, an Image is three-dimensional: a series where a volume is meant is a mistake. A stage
    that takes a series says `ImageSeries`.
    """

    frames_allowed = False
    gaps_allowed = False

    def __init__(
        self, data: ArrayLike, affine: ArrayLike, *, unit: str | None = None, bits: Literal[8, 16] | None = None
    ) -> None:
        import numpy as np

        array = as_array(data, self.kind)
        if array.ndim not in (3, 4):
            raise InputError(f"an image is (x, y, z) or (x, y, z, t); the array given has shape {array.shape}")
        dtype = np.int16 if array.dtype in (np.int8, np.uint8, np.int16, np.bool_) else np.float32
        self.bits = bits
        if bits:
            array, dtype = np.multiply(levels(array, bits), np.float32(_slope(bits)), dtype=np.float32), np.float32
        super().__init__(reordered(array, dtype, "C"), affine)
        self.unit = unit

    @classmethod
    def _expected_shape(cls, header: Header, inspection: Inspection) -> tuple[int, ...]:
        shape = header.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        most = 4 if cls.frames_allowed else 3
        if not 3 <= len(shape) <= most:
            expected = "3D (x, y, z)" if most == 3 else "3D or 4D (x, y, z, t)"
            inspection.refuse(f"has {len(shape)} dimensions, {' x '.join(map(str, shape))}; expected {expected}")
        return shape

    def _from_header(self, header: Header) -> None:
        self.unit = header.note.unit
        self.bits = None

    def _convert(self, stored: NDArray[Any], header: Header, inspection: Inspection) -> NDArray[Any]:
        return real_values(stored, header.scaling, inspection, gaps=self.gaps_allowed)

    def _judge(self, data: NDArray[Any], inspection: Inspection) -> None:
        low, high = require_finite(data, inspection, "voxels", gaps=self.gaps_allowed)
        if low == high:
            inspection.note(
                "constant-image",
                "warning",
                f"every voxel is {low:g}: a constant image, standard deviation 0",
                low,
            )

    def save(self, path: str | Path) -> None:
        """Write `.nii.gz` (or `.nii`)."""
        if self.bits:
            stored, slope = levels(self.data, self.bits), _slope(self.bits)
            write_nifti(path, stored, self.affine, Note(unit=self.unit), slope=slope)
        else:
            write_nifti(path, self.data, self.affine, Note(unit=self.unit))


def levels(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Values from 0 to 1 as integers from 0 to 2^bits - 1; raises InputError for others."""
    import numpy as np

    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 1:
        raise InputError(f"{bits} bits hold values from 0 to 1; found {low:g} to {high:g}")
    stored = np.empty(values.shape, dtype=f"uint{bits}")
    for plane, part in enumerate(values):  # plane by plane: no second volume of floats
        stored[plane] = np.rint(part * np.float64(2**bits - 1))
    return stored


def _slope(bits: int) -> float:
    """What a header of 32-bit numbers keeps of 1 / (2^bits - 1)."""
    import numpy as np

    return float(np.float32(1 / (2**bits - 1)))


class ImageSeries(Image):
    """A scalar volume that may have frames: (x, y, z) or (x, y, z, t)."""

    frames_allowed = True


class PartialImage(Image):
    """A scalar volume that may have gaps: NaN where a voxel has no value, such as a distance where no path leads."""

    gaps_allowed = True
