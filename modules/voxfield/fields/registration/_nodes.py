"""Nodes on every so many-th voxel, trilinear in between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import map_coordinates

Floats = NDArray[np.float64]


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

    def to_voxels(self, values: Floats) -> Floats:
        """Node values (x, y, z, c) at the voxels (v, c)."""
        return np.asarray(self._weights @ values.reshape(-1, values.shape[-1]))

    def gather(self, values: Floats) -> Floats:
        """The transpose: voxel values (v, c) summed up at the nodes (x, y, z, c)."""
        return np.asarray(self._weights.T @ values).reshape(*self.shape, values.shape[-1])

    def gather_squares(self, values: Floats) -> Floats:
        """As `gather`, with squared weights."""
        return np.asarray(self._weights.power(2).T @ values).reshape(*self.shape, values.shape[-1])

    def onto(self, values: Floats, finer: Nodes) -> Floats:
        """Node values (x, y, z, c) at the nodes of another level."""
        ratio = finer.every * finer.scale / (self.every * self.scale)
        place = np.meshgrid(*(ratio * np.arange(n) for n in finer.shape), indexing="ij")
        return np.stack([map_coordinates(v, place, order=1, mode="nearest") for v in np.moveaxis(values, -1, 0)], -1)


def _along(voxels: int, nodes: int, every: int) -> sparse.csr_array:
    place = np.arange(voxels) / every
    left = np.minimum(place.astype(np.int64), nodes - 2)
    share, row = place - left, np.arange(voxels)
    rows, columns = np.concatenate([row, row]), np.concatenate([left, left + 1])
    return sparse.csr_array((np.concatenate([1 - share, share]), (rows, columns)), shape=(voxels, nodes))
