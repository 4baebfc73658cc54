"""From scans and feature tables to the numbers that a network sees.

Volumes are turned to the nearest RAS+ axes and averaged onto the model's grid: each cell of the grid is the
mean of what lies inside it, weighted by overlap, axis by axis; no filter to choose, no aliasing, exact for
constants. Outside the scan the grid holds the scan's lowest percentile. Features are standardised with the
training rows; a missing one becomes the training mean and raises a flag of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LOW, HIGH = 1.0, 99.0  # percentiles of intensity; robust against single bright voxels


@dataclass(frozen=True)
class InputGrid:
    """The grid on which the network sees a scan, centred on the scan's field of view.

    shape       cells along x, y, z in RAS+ order; 1 along the normal of images in a plane
    spacing_mm  cell size
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that have more than one cell: all three, or the two of a plane."""
        return tuple(axis for axis in range(3) if self.shape[axis] > 1)

    def as_input(self, volumes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Volumes on the grid (n, x, y, z) as a network takes them: (n, 1, x, y, z), or (n, 1, x, y) in a plane."""
        flat = tuple(axis + 1 for axis in range(3) if axis not in self.axes)
        return np.ascontiguousarray(volumes.squeeze(flat)[:, None])


def ras_axes(affine: ArrayLike) -> tuple[list[int], list[bool], Floats]:
    """For each world axis: the voxel axis nearest to it, whether that one runs backwards, its spacing in mm.

    A tilt away from the axes is ignored: the grid of the network follows the scan.
    """
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    directions = matrix / spacing
    order = _nearest_axes(directions)
    return order, [bool(directions[axis, source] < 0) for axis, source in enumerate(order)], spacing[order]


def to_ras(data: NDArray[Any], affine: ArrayLike) -> tuple[NDArray[Any], Floats]:
    """The volume along the axes nearest to RAS+, and its spacing in mm; data (x, y, z), affine (4, 4)."""
    order, backwards, spacing = ras_axes(affine)
    turned = np.transpose(data, order)
    return np.flip(turned, tuple(axis for axis in range(3) if backwards[axis])), spacing


def resample(volume: NDArray[Any], spacing_mm: ArrayLike, grid: InputGrid) -> NDArray[np.float32]:
    """Cell averages of a RAS+ volume (x, y, z) on the grid, centres aligned; float32."""
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if volume.shape == grid.shape and np.allclose(spacing, grid.spacing_mm, rtol=1e-3):
        return np.asarray(volume, dtype=np.float32)
    floor = np.float32(np.percentile(volume, LOW))
    result = np.asarray(volume, dtype=np.float32) - floor
    for axis in range(3):
        weights = overlap_weights(volume.shape[axis], spacing[axis], grid.shape[axis], grid.spacing_mm[axis])
        result = np.moveaxis(np.tensordot(weights.astype(np.float32), result, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(result + floor)


def overlap_weights(size: int, spacing: float, cells: int, cell_mm: float) -> Floats:
    """Share of each output cell that each input voxel fills, (cells, size); less than 1 in all outside."""
    inner = (np.arange(size + 1) - size / 2) * spacing
    outer = (np.arange(cells + 1) - cells / 2) * cell_mm
    low = np.maximum(outer[:-1, None], inner[None, :-1])
    high = np.minimum(outer[1:, None], inner[None, 1:])
    return np.asarray(np.clip(high - low, 0, None) / cell_mm)


def normalise(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale by the scan's own percentiles: 1 % becomes -1, 99 % becomes 1; a constant scan becomes 0."""
    low, high = np.percentile(volume, [LOW, HIGH])
    if high - low <= 0:
        return np.zeros_like(volume)
    return np.asarray((volume - (low + high) / 2) * (2 / (high - low)), dtype=np.float32)


def scan_summary(volume: NDArray[Any], spacing_mm: ArrayLike) -> Floats:
    """What a scan is like before any normalisation, as 12 numbers (see SUMMARY); volume (x, y, z) RAS+."""
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    values = np.asarray(volume, dtype=np.float64)
    low, middle, high = np.percentile(values, [LOW, 50.0, HIGH])
    span = max(high - low, 1e-12)
    steps = [np.abs(np.diff(values, axis=a)).mean() for a in range(3) if values.shape[a] > 1]
    extent = np.array(values.shape) * spacing
    tail = [(middle - low) / span, float(np.mean(steps)) / span if steps else 0.0, values.std() / span]
    return np.array([*np.log(extent), *np.log(spacing), low, middle, high, *tail])


SUMMARY = (
    "log extent x", "log extent y", "log extent z", "log spacing x", "log spacing y", "log spacing z",
    "intensity 1 %", "intensity 50 %", "intensity 99 %", "skew", "roughness", "contrast",
)  # fmt: skip


@dataclass(frozen=True)
class Scaler:
    """Standardisation of a feature table, fitted on training rows.

    columns  names that have a value in training; others can not be learnt from and are left out
    mean, sd (f,) of the values that are present
    flagged  columns that are missing in some training rows: only they get a flag, a flag that never varied in
             training would act at random the first time it does
    """

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    flagged: tuple[str, ...]

    @classmethod
    def fit(cls, columns: Sequence[str], values: Floats) -> "Scaler":
        """From training rows (n, f), NaN where a value is missing; a column without spread gets sd 1."""
        present = np.isfinite(values)
        kept = np.asarray(present.any(axis=0))
        names = [name for name, keep in zip(columns, kept, strict=True) if keep]
        values, present = values[:, kept], present[:, kept]
        mean = np.where(present, values, 0.0).sum(0) / present.sum(0)
        spread = np.sqrt((np.where(present, values - mean, 0.0) ** 2).sum(0) / present.sum(0))
        spread = np.where(spread > 1e-9 * np.maximum(np.abs(mean), 1.0), spread, 1.0)
        full = np.asarray(present.all(axis=0))
        flagged = [name for name, always in zip(names, full, strict=True) if not always]
        return cls(tuple(names), tuple(mean.tolist()), tuple(spread.tolist()), tuple(flagged))

    @property
    def width(self) -> int:
        """Entries of a row: values and flags."""
        return len(self.columns) + len(self.flagged)

    def apply(self, values: Floats) -> NDArray[np.float32]:
        """Standardised values, clipped to +-5, then missing flags: (n, width) from (n, f)."""
        missing = ~np.isfinite(values)
        scaled = (np.where(missing, 0.0, values) - np.array(self.mean)) / np.array(self.sd)
        scaled = np.where(missing, 0.0, np.clip(scaled, -5.0, 5.0))
        flags = missing[:, [self.columns.index(name) for name in self.flagged]]
        return np.concatenate([scaled, flags], axis=1).astype(np.float32)


def _nearest_axes(directions: Floats) -> list[int]:
    """For each world axis the voxel axis that follows it best, as a permutation."""
    strength = np.abs(directions).copy()
    order = [0, 0, 0]
    for _ in range(3):
        world, voxel = np.unravel_index(int(strength.argmax()), strength.shape)
        order[int(world)] = int(voxel)
        strength[world, :] = -1.0
        strength[:, voxel] = -1.0
    return order
