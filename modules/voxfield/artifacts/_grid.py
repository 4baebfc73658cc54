"""A voxel grid in the world: shape and affine, and the questions that geometry asks of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from voxfield.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

SHEAR_TOLERANCE = 1e-3  # cosine between two axes above which a grid counts as sheared
GRID_TOLERANCE = 1e-3  # voxels by which the corners of two grids may differ and still be one grid


class Grid:
    """A regular grid of voxels.

    shape   (x, y, z) voxels
    affine  (4, 4) float64, voxel index to world, mm, RAS+; voxel (i, j, k) has its centre at affine @ (i, j,
            k, 1)
    """

    def __init__(self, shape: tuple[int, ...], affine: ArrayLike) -> None:
        import numpy as np

        matrix = np.array(affine, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"a grid has three axes of at least one voxel; the shape given is {tuple(shape)}")
        fault = affine_fault(matrix)
        if fault:
            raise InputError(fault)
        self.shape: tuple[int, int, int] = (int(shape[0]), int(shape[1]), int(shape[2]))
        self._affine: NDArray[np.float64] = matrix

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) voxel index to world; a copy, since a grid does not change."""
        return self._affine.copy()

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """(3,) mm along the voxel axes x, y, z."""
        import numpy as np

        lengths: NDArray[np.float64] = np.linalg.norm(self._affine[:3, :3], axis=0)
        return lengths

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """(3, 3) unit directions of the voxel axes in the world, one a column."""
        return self._affine[:3, :3] / self.spacing

    @cached_property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm^3."""
        import numpy as np

        return float(abs(np.linalg.det(self._affine[:3, :3])))

    def world(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """World points, mm, of voxel indices (..., 3); fractions are allowed."""
        import numpy as np

        return np.asarray(ijk, dtype=np.float64) @ self._affine[:3, :3].T + self._affine[:3, 3]

    def index(self, xyz: ArrayLike) -> NDArray[np.float64]:
        """Voxel indices, with fractions, of world points (..., 3) in mm."""
        import numpy as np

        inverse = np.linalg.inv(self._affine[:3, :3])
        return (np.asarray(xyz, dtype=np.float64) - self._affine[:3, 3]) @ inverse.T

    def is_orthogonal(self, tol: float = SHEAR_TOLERANCE) -> bool:
        """Whether the voxel axes stand at right angles: every cosine between two of them is at most `tol`."""
        return self.shear <= tol

    @cached_property
    def shear(self) -> float:
        """The largest cosine between two voxel axes; 0 for right angles."""
        import numpy as np

        return float(np.abs(self.axes.T @ self.axes - np.eye(3)).max())

    def distance(self, other: Grid) -> float:
        """The farthest that a corner of this grid lies from its place in `other`, in voxels of `other`."""
        import numpy as np

        last = np.array(self.shape, dtype=np.float64) - 1
        corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * last
        if min(self.shape) == 1:  # an axis of one voxel has no far corner, but it has a direction
            corners = np.concatenate([corners, np.eye(3)])
        return float(np.abs(other.index(self.world(corners)) - corners).max())

    def same_as(self, other: Grid, tol: float = GRID_TOLERANCE) -> bool:
        """Whether both have one shape and no corner differs by more than `tol` voxels."""
        return self.shape == other.shape and self.distance(other) <= tol

    def __repr__(self) -> str:
        return f"Grid(shape={self.shape}, spacing={tuple(round(float(s), 6) for s in self.spacing)} mm)"


def affine_fault(matrix: NDArray[np.float64]) -> str | None:
    """What makes a matrix unusable as an affine, in one sentence; None where nothing does."""
    import numpy as np

    if matrix.shape != (4, 4):
        return f"an affine is 4 x 4; this one has shape {matrix.shape}"
    if not np.isfinite(matrix).all():
        return "the affine holds NaN or infinite entries; expected finite millimetres"
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        return f"the last row of the affine is {matrix[3].tolist()}; expected 0, 0, 0, 1"
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    volume = abs(np.linalg.det(matrix[:3, :3]))
    if lengths.min() <= 0 or volume < 1e-6 * lengths.prod():
        text = ", ".join(f"{length:g}" for length in lengths)
        return f"the affine is singular, it can not be inverted: column lengths {text} mm"
    return None
