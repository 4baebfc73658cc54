"""Smooth functions of place, kept on a coarse grid and interpolated plane by plane or point by point."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float32 = NDArray[np.float32]
Real = NDArray[np.floating]


class SmoothField:
    """Values on a coarse grid over a volume, linear in between.

    coarse  (k, a, b)  node 0 lies at voxel 0
    step    (3,)       voxels between nodes
    shape   (3,)       voxels of the volume
    """

    def __init__(self, coarse: Float32, step: Real, shape: tuple[int, ...]) -> None:
        self._coarse = coarse
        self._step = step
        self._places = [_weights(n, s) for n, s in zip(shape, step, strict=True)]

    @classmethod
    def random(cls, rng: np.random.Generator, shape: tuple[int, ...], spacing: Real, length_mm: float) -> Self:
        """A field of zero mean and unit variance, correlated over about `length_mm`."""
        step = np.maximum(1.0, 0.5 * length_mm / spacing)
        nodes = [int(np.ceil(n / s)) + 2 for n, s in zip(shape, step, strict=True)]
        coarse = rng.standard_normal(nodes, dtype=np.float32)
        ndimage.gaussian_filter(coarse, 1.0, output=coarse, mode="wrap", truncate=3)
        coarse -= coarse.mean()
        coarse /= max(float(coarse.std()), 1e-6)
        return cls(coarse, step, shape)

    def plane(self, k: int) -> Float32:
        """Values at the voxels of slice `k`, (a, b)."""
        (low, weight), (rows, down), (columns, right) = self._places
        values = self._coarse[low[k]] * (1 - weight[k]) + self._coarse[low[k] + 1] * weight[k]
        values = values[rows] * (1 - down[:, None]) + values[rows + 1] * down[:, None]
        result: Float32 = values[:, columns] * (1 - right) + values[:, columns + 1] * right
        return result

    def at(self, voxels: NDArray[np.integer]) -> Float32:
        """Values at voxels (n, 3)."""
        result: Float32 = ndimage.map_coordinates(self._coarse, (voxels / self._step).T, order=1, mode="nearest")
        return result


def _weights(count: int, step: float) -> tuple[NDArray[np.int64], Float32]:
    place = np.arange(count) / step
    low = place.astype(np.int64)
    return low, (place - low).astype(np.float32)
