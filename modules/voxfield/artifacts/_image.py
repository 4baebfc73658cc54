"""Image: one number a voxel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    Read from a file, an Image is three-dimensional: a series where a volume is meant is a mistake. A stage
    that takes a series says `ImageSeries`.
    """

    frames_allowed = False

    def __init__(self, data: ArrayLike, affine: ArrayLike, *, unit: str | None = None) -> None:
        import numpy as np

        array = as_array(data, self.kind)
        if array.ndim not in (3, 4):
            raise InputError(f"an image is (x, y, z) or (x, y, z, t); the array given has shape {array.shape}")
        dtype = np.int16 if array.dtype in (np.int8, np.uint8, np.int16, np.bool_) else np.float32
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

    def _convert(self, stored: NDArray[Any], header: Header, inspection: Inspection) -> NDArray[Any]:
        return real_values(stored, header.scaling, inspection)

    def _judge(self, data: NDArray[Any], inspection: Inspection) -> None:
        low, high = require_finite(data, inspection, "voxels")
        if low == high:
            inspection.note(
                "constant-image",
                "warning",
                f"every voxel is {low:g}: a constant image, standard deviation 0",
                low,
            )

    def save(self, path: str | Path) -> None:
        """Write `.nii.gz` (or `.nii`)."""
        write_nifti(path, self.data, self.affine, Note(unit=self.unit))


class ImageSeries(Image):
    """A scalar volume that may have frames: (x, y, z) or (x, y, z, t)."""

    frames_allowed = True
