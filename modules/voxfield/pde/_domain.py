"""The voxels of a lumen as a finite-volume domain.

Unknowns live at the centres of the active voxels, in C order of the mask; fluxes live on the interior
faces, the faces between two active voxels. Leaving out all other faces *is* the natural (Neumann)
condition, so nothing here knows walls.

`spacing` may differ along the three voxel axes; its unit is the unit of length, metres in `pde.pressure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.signedinteger]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class VoxelDomain:
    """Active voxels of a box.

    mask     (x, y, z)  True where the PDE holds
    spacing  (3,)       along the voxel axes
    """

    mask: Mask
    spacing: tuple[float, float, float]

    @cached_property
    def cells(self) -> Ints:
        """Voxel indices of the unknowns (n, 3), in C order."""
        return np.argwhere(self.mask)

    @property
    def index(self) -> Ints:
        """Number of each voxel's unknown (x, y, z); n, one past the last, outside."""
        inner = slice(_PAD, -_PAD)
        return self._padded_index[inner, inner, inner]

    @cached_property
    def size(self) -> int:
        """Number of unknowns n."""
        return int(np.count_nonzero(self.mask))

    @property
    def voxel_volume(self) -> float:
        """Product of the spacings."""
        return float(np.prod(self.spacing))

    def neighbour(self, offset: tuple[int, int, int]) -> Ints:
        """Number of the unknown at `offset` voxels from each unknown (n,); n where that voxel is outside."""
        places, index = self._padded_places, self._padded_index
        jump = np.dot(offset, (index.shape[1] * index.shape[2], index.shape[2], 1))
        return np.asarray(index.ravel()[places + jump])

    @cached_property
    def faces(self) -> tuple[tuple[Ints, Ints], ...]:
        """For each axis the unknowns (lower, upper), each (f,), on both sides of every interior face."""
        pairs = []
        for axis in range(3):
            step = (int(axis == 0), int(axis == 1), int(axis == 2))
            upper = self.neighbour(step)
            lower = np.flatnonzero(upper < self.size)
            pairs.append((lower, upper[lower]))
        return tuple(pairs)

    @cached_property
    def face_counts(self) -> tuple[int, ...]:
        """Number of interior faces normal to each axis."""
        return tuple(len(lower) for lower, _ in self.faces)

    @cached_property
    def gradient(self) -> sparse.csr_array:
        """Difference quotient (f, n) across every interior face, those of axis 0 first; per unit of length."""
        blocks = [
            _differences(lower, upper, self.size) / step
            for (lower, upper), step in zip(self.faces, self.spacing, strict=True)
        ]
        return sparse.csr_array(sparse.vstack(blocks, format="csr"))

    @cached_property
    def divergence(self) -> sparse.csr_array:
        """Transposed gradient (n, f): minus the discrete divergence, with no flux through all other faces."""
        return sparse.csr_array(self.gradient.T)

    @cached_property
    def components(self) -> Ints:
        """Number of the face-connected component of each unknown (n,), the largest component first."""
        return components(self.stiffness)

    @cached_property
    def stiffness(self) -> sparse.csr_array:
        """Gram matrix of the gradient (n, n): the weak Laplacian over the voxel volume."""
        return sparse.csr_array(self.divergence @ self.gradient)

    @cached_property
    def _padded_index(self) -> Ints:
        padded = np.full([n + 2 * _PAD for n in self.mask.shape], self.size, dtype=np.int32)
        inner = slice(_PAD, -_PAD)
        padded[inner, inner, inner][self.mask] = np.arange(self.size)
        return padded

    @cached_property
    def _padded_places(self) -> Ints:
        """Place of each unknown in the flattened padded box (n,)."""
        return np.flatnonzero(self._padded_index.ravel() < self.size)

    def dense(self, values: Floats, fill: float = 0.0) -> Floats:
        """Put values (n, ...) of the unknowns back into the box (x, y, z, ...)."""
        box = np.full((*self.mask.shape, *values.shape[1:]), fill)
        box[self.mask] = values
        return box

    def split(self, values: Floats) -> tuple[Floats, ...]:
        """Cut values (f, ...) on all interior faces into the three axes."""
        return tuple(np.split(values, np.cumsum(self.face_counts)[:-1]))


_PAD = 3  # widest offset that `neighbour` is asked for


def _differences(lower: Ints, upper: Ints, size: int) -> sparse.csr_array:
    faces = np.arange(len(lower))
    ones = np.ones(len(lower))
    rows = np.concatenate([faces, faces])
    columns = np.concatenate([upper, lower])
    return sparse.csr_array((np.concatenate([ones, -ones]), (rows, columns)), shape=(len(lower), size))


def components(matrix: sparse.csr_array) -> Ints:
    """Number of the connected component of each row (n,) of a symmetric matrix, the largest first."""
    count, labels = sparse.csgraph.connected_components(matrix, directed=False)
    order = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    rank = np.empty(count, dtype=np.intp)
    rank[order] = np.arange(count)
    return rank[labels]
