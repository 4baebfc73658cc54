"""FaceFlux: normal velocities on the faces between voxels, the form in which divergence is exactly zero."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._grid import Grid, affine_fault
from voxfield.artifacts._tensors import TensorArtifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class FaceFlux(TensorArtifact):
    """Staggered velocities of a lumen, along the voxel axes.

    u, v, w  (nx+1, ny, nz), (nx, ny+1, nz), (nx, ny, nz+1) float64: mean normal velocity through a face,
             positive along the voxel axis; u[i] lies between the voxels i - 1 and i
    mask     (nx, ny, nz) bool, the cells of the lumen
    affine   (4, 4) voxel index to world, mm, RAS+, with orthogonal axes
    unit     such as "m/s"
    """

    required = ("u", "v", "w", "mask", "affine")

    def __init__(
        self,
        u: ArrayLike,
        v: ArrayLike,
        w: ArrayLike,
        mask: ArrayLike,
        affine: ArrayLike,
        *,
        unit: str | None = None,
    ) -> None:
        import numpy as np

        arrays: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(value, dtype=np.float64)
            for name, value in (("u", u), ("v", v), ("w", w), ("affine", affine))
        }
        super().__init__({**arrays, "mask": np.ascontiguousarray(mask, dtype=bool)}, unit)

    def _fault(self, arrays: dict[str, NDArray[Any]]) -> str | None:
        shape = arrays["mask"].shape
        if len(shape) != 3 or arrays["mask"].dtype != bool:
            return f"its mask has shape {shape} and dtype {arrays['mask'].dtype}; expected (x, y, z) bool"
        for axis, name in enumerate("uvw"):
            expected = tuple(extent + (axis == place) for place, extent in enumerate(shape))
            if arrays[name].shape != expected or arrays[name].dtype != "f8":
                found = f"shape {arrays[name].shape} and dtype {arrays[name].dtype}"
                return f"its {name} has {found}; expected {expected} float64"
        return affine_fault(arrays["affine"])

    @property
    def u(self) -> NDArray[np.float64]:
        """Normal velocities through the faces across x."""
        return self.arrays["u"]

    @property
    def v(self) -> NDArray[np.float64]:
        """Normal velocities through the faces across y."""
        return self.arrays["v"]

    @property
    def w(self) -> NDArray[np.float64]:
        """Normal velocities through the faces across z."""
        return self.arrays["w"]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The cells of the lumen."""
        return self.arrays["mask"]

    @cached_property
    def grid(self) -> Grid:
        """The grid of the cells."""
        return Grid(self.mask.shape, self.arrays["affine"])

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) voxel index to world, mm, RAS+."""
        return self.grid.affine

    def divergence(self) -> NDArray[np.float64]:
        """Net outflow of each cell over its volume, (nx, ny, nz), in unit per mm; 0 outside the lumen."""
        import numpy as np

        net = np.zeros(self.mask.shape)
        for axis, name in enumerate("uvw"):
            net += np.diff(self.arrays[name], axis=axis) / self.grid.spacing[axis]
        return np.where(self.mask, net, 0.0)

    def _check(self, inspection: Inspection) -> None:
        super()._check(inspection)
        if not self.grid.is_orthogonal():
            inspection.refuse(
                f"its voxel axes are not orthogonal (cosine {self.grid.shear:.3g}); face fluxes need right angles"
            )
        if not self.mask.any():
            inspection.note("empty-mask", "warning", "no foreground: the lumen is empty")
