"""Nodes on every so many-th voxel, trilinear in between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import map_coordinates

Floats = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Nodes:
    """Nodes over the voxels (x, y, z) of one level, at the voxels 0, every, 2 every, ... up to past the last.

    scale  voxels of the finest level to one of this level
    """

    voxels: tuple[int, int, int]
    every: int
    scale: int

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(x, y, z) nodes, two at least along an axis."""
        x, y, z = (max(2, -(-(n - 1) // self.every) + 1) for n in self.voxels)
        return x, y, z

    @cached_property
    def _weights(self) -> sparse.csr_array:
        """(voxels, nodes) trilinear weights, the product of those along the axes."""
        parts = [_along(n, m, self.every) for n, m in zip(self.voxels, self.shape, strict=True)]
        return sparse.csr_array(sparse.kron(sparse.kron(parts[0], parts[1]), parts[2]))

    @cached_property
    def _gathering(self) -> sparse.csr_array:
        return sparse.csr_array(self._weights.T)

    def to_voxels(self, values: Floats) -> Floats:
        """Node values (..., x, y, z, c) at the voxels (..., v, c)."""
        return _applied(self._weights, values.reshape(*values.shape[:-4], -1, values.shape[-1]))

    def gather(self, values: Floats) -> Floats:
        """The transpose: voxel values (..., v, c) summed up at the nodes (..., x, y, z, c)."""
        found = _applied(self._gathering, values)
        return found.reshape(*values.shape[:-2], *self.shape, values.shape[-1])

    def gather_squares(self, values: Floats) -> Floats:
        """As `gather`, with squared weights."""
        return np.asarray(self._weights.power(2).T @ values).reshape(*self.shape, values.shape[-1])

    def bricks(self, region: Bool) -> Bool:
        """(x - 1, y - 1, z - 1) bricks between nodes that hold a voxel of a region (x, y, z)."""
        count = [n - 1 for n in self.shape]
        wide = np.zeros([self.every * n + 1 for n in count], dtype=bool)
        wide[tuple(slice(0, n) for n in self.voxels)] = region
        found = np.zeros(count, dtype=bool)
        for offset in product(range(self.every + 1), repeat=3):
            part = (slice(first, first + self.every * n, self.every) for first, n in zip(offset, count, strict=True))
            found |= wide[tuple(part)]
        return found

    def onto(self, values: Floats, finer: Nodes) -> Floats:
        """Node values (x, y, z, c) at the nodes of another level."""
        ratio = finer.every * finer.scale / (self.every * self.scale)
        place = np.meshgrid(*(ratio * np.arange(n) for n in finer.shape), indexing="ij")
        return np.stack([map_coordinates(v, place, order=1, mode="nearest") for v in np.moveaxis(values, -1, 0)], -1)


def _applied(matrix: sparse.csr_array, values: Floats) -> Floats:
    """A matrix (m, n) on values (..., n, c)."""
    columns = np.moveaxis(values, -2, 0)
    found = matrix @ columns.reshape(len(columns), -1)
    return np.moveaxis(found.reshape(-1, *columns.shape[1:]), 0, -2)


def _along(voxels: int, nodes: int, every: int) -> sparse.csr_array:
    place = np.arange(voxels) / every
    left = np.minimum(place.astype(np.int64), nodes - 2)
    share, row = place - left, np.arange(voxels)
    rows, columns = np.concatenate([row, row]), np.concatenate([left, left + 1])
    return sparse.csr_array((np.concatenate([1 - share, share]), (rows, columns)), shape=(voxels, nodes))
