"""FieldSamples: draws from the posterior of a field in a lumen, so that what follows has its uncertainty."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._grid import Grid, affine_fault
from voxfield.artifacts._tensors import TensorArtifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

FEWEST = 16


class FieldSamples(TensorArtifact):
    """Samples of a vector or scalar field at the voxels of a mask.

    values  (s, t, n, c) float32: sample, frame, voxel, component; c = 3 along the world axes, or 1; the n
            voxels are the True ones of `mask` in C order
    mask    (x, y, z) bool
    affine  (4, 4) voxel index to world, mm, RAS+
    inside  (s, n) bool, the lumen that was drawn for each sample; None where it is the mask for all
    unit    of the values, such as "m/s"

    A marginal standard deviation can not stand in for samples: errors are correlated in space, and what is
    computed from the field depends on that.
    """

    required = ("values", "mask", "affine")

    def __init__(
        self,
        values: ArrayLike,
        mask: ArrayLike,
        affine: ArrayLike,
        *,
        inside: ArrayLike | None = None,
        unit: str | None = None,
    ) -> None:
        import numpy as np

        arrays: dict[str, NDArray[Any]] = {
            "values": np.ascontiguousarray(values, dtype=np.float32),
            "mask": np.ascontiguousarray(mask, dtype=bool),
            "affine": np.ascontiguousarray(affine, dtype=np.float64),
        }
        if inside is not None:
            arrays["inside"] = np.ascontiguousarray(inside, dtype=bool)
        super().__init__(arrays, unit)

    def _fault(self, arrays: dict[str, NDArray[Any]]) -> str | None:
        values, mask = arrays["values"], arrays["mask"]
        if mask.ndim != 3 or mask.dtype != bool:
            return f"its mask has shape {mask.shape} and dtype {mask.dtype}; expected (x, y, z) bool"
        count = int(mask.sum())
        if values.ndim != 4 or values.shape[2] != count or values.shape[3] not in (1, 3) or values.dtype != "f4":
            return (
                f"its values have shape {values.shape} and dtype {values.dtype}; expected (samples, "
                f"frames, {count}, "
                "1 or 3) float32, as its mask has that many voxels"
            )
        inside = arrays.get("inside")
        if inside is not None and (inside.shape != (len(values), count) or inside.dtype != bool):
            found = f"shape {inside.shape} and dtype {inside.dtype}"
            return f"its inside has {found}; expected {(len(values), count)} bool"
        return affine_fault(arrays["affine"])

    @property
    def values(self) -> NDArray[np.float32]:
        """(s, t, n, c) float32."""
        return self.arrays["values"]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(x, y, z) bool: the voxels that have values."""
        return self.arrays["mask"]

    @property
    def inside(self) -> NDArray[np.bool_] | None:
        """(s, n) bool: the lumen of each sample, or None."""
        return self.arrays.get("inside")

    @cached_property
    def grid(self) -> Grid:
        """The grid of the mask."""
        return Grid(self.mask.shape, self.arrays["affine"])

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) voxel index to world, mm, RAS+."""
        return self.grid.affine

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.values)

    def dense(self, sample: int) -> NDArray[np.float32]:
        """One sample on the whole grid, (x, y, z, t, c); 0 outside the mask and outside the sample's own "
        "lumen."""
        import numpy as np

        frames, _, components = self.values.shape[1:]
        values = self.values[sample]
        if self.inside is not None:
            values = np.where(self.inside[sample][:, None], values, np.float32(0))
        field = np.zeros((*self.mask.shape, frames, components), dtype=np.float32)
        field[self.mask] = np.moveaxis(values, 0, 1)
        return field

    def lumen(self, sample: int) -> NDArray[np.bool_]:
        """The lumen of one sample on the whole grid, (x, y, z) bool."""
        import numpy as np

        field = np.zeros(self.mask.shape, dtype=bool)
        field[self.mask] = True if self.inside is None else self.inside[sample]
        return field

    def _check(self, inspection: Inspection) -> None:
        super()._check(inspection)
        if len(self) < FEWEST:
            inspection.refuse(f"holds {len(self)} samples; expected at least {FEWEST}, fewer say little about a spread")
        if not self.mask.any():
            inspection.note("empty-mask", "warning", "no foreground: the mask of the samples is empty")
