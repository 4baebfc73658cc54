"""Velocity samples in m/s, each with its own lumen, cropped to the voxels that any of them holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from voxfield.artifacts import FieldSamples, Grid, Image, LabelMap
from voxfield.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SPEED_UNITS = {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3}
MARGIN = 3
"""Voxels kept around the lumen."""


class Spread(NamedTuple):
    """Mean and standard deviation over the samples that hold a value; NaN where too few do."""

    mean: Floats
    sd: Floats


@dataclass(frozen=True)
class Velocities:
    """Samples on a box of the grid.

    values  (s, t, n, 3)  m/s along the world axes, at the n voxels of `mask`
    mask    (x, y, z)     voxels that at least one sample holds, in the box
    inside  (s, n)        the lumen of each sample
    start   (3,)          first voxel of the box in the grid of the samples
    grid                  of the box
    """

    values: NDArray[np.float32]
    mask: Mask
    inside: Mask
    start: Ints
    grid: Grid

    @cached_property
    def voxels(self) -> Ints:
        """(n, 3) indices in the box."""
        return np.argwhere(self.mask)

    @cached_property
    def index(self) -> Ints:
        """(x, y, z) number of a voxel among the n, n outside."""
        index = np.full(self.mask.shape, len(self.voxels), dtype=np.int64)
        index[self.mask] = np.arange(len(self.voxels))
        return index

    @cached_property
    def most(self) -> Mask:
        """(n,) voxels that at least half of the samples hold."""
        return np.asarray(2 * self.inside.sum(axis=0) >= len(self.inside))

    @cached_property
    def mean(self) -> Floats:
        """(t, n, 3) mean over the samples that hold a voxel, 0 where less than half do."""
        count = np.maximum(self.inside.sum(axis=0), 1)
        total = np.einsum("stnc,sn->tnc", self.values, self.inside.astype(np.float32))
        return np.where(self.most[:, None], total / count[:, None], 0.0)

    def lumens(self) -> Iterator[tuple[list[int], Mask]]:
        """Samples with the same lumen together: their numbers, and the voxels (n,)."""
        groups: dict[bytes, list[int]] = {}
        for sample, held in enumerate(self.inside):
            groups.setdefault(np.packbits(held).tobytes(), []).append(sample)
        for members in groups.values():
            yield members, self.inside[members[0]]

    def embed(self, values: Floats, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Values (n, ...) in the whole grid, 0 elsewhere."""
        whole = np.zeros((*shape, *values.shape[1:]), dtype=np.float32)
        whole[tuple((self.voxels + self.start).T)] = values
        return whole


def take_velocities(samples: FieldSamples) -> Velocities:
    """Check the samples and crop them; raises InputError for another unit, one component, shear or no lumen."""
    if samples.unit not in SPEED_UNITS:
        found = "no unit" if samples.unit is None else f"the unit {samples.unit!r}"
        raise InputError(f"has {found}; expected velocities in m/s, cm/s or mm/s", file=samples.file)
    if samples.values.shape[3] != 3:
        raise InputError(
            f"holds {samples.values.shape[3]} component a voxel; expected the 3 of a velocity", file=samples.file
        )
    if not samples.grid.is_orthogonal():
        raise InputError(
            f"its voxel axes are not at right angles (largest cosine {samples.grid.shear:.3g}); expected at most 0.001",
            file=samples.file,
        )
    count = samples.values.shape[2]
    inside = np.ones((len(samples), count), dtype=bool) if samples.inside is None else samples.inside
    if not inside.any(axis=1).all():
        raise InputError("a sample has an empty lumen; expected voxels in each", file=samples.file)
    if not (2 * inside.sum(axis=0) >= len(inside)).any():
        raise InputError("no voxel lies in the lumens of half of its samples; expected one vessel", file=samples.file)
    places = np.argwhere(samples.mask)
    low = np.maximum(places.min(axis=0) - MARGIN, 0)
    high = np.minimum(places.max(axis=0) + 1 + MARGIN, samples.mask.shape)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    affine = samples.affine
    affine[:3, 3] = samples.grid.world(low)
    mask = np.ascontiguousarray(samples.mask[x, y, z])
    scale = np.float32(SPEED_UNITS[samples.unit])
    return Velocities(samples.values * scale, mask, inside, low, Grid(mask.shape, affine))


def on_box(volume: Image | LabelMap, velocities: Velocities) -> Floats:
    """An image, linear between its voxels, or a map, nearest voxel, at the voxels of the box; its edge is repeated.

    Raises InputError where it does not lie over the box at all.
    """
    points = velocities.grid.world(np.indices(velocities.mask.shape).reshape(3, -1).T)
    place = volume.grid.index(points).T
    if not ((place >= 0) & (place <= np.array(volume.grid.shape)[:, None] - 1)).all(axis=0).any():
        raise InputError(f"{volume.grid!r} does not reach the samples; expected one anatomy", file=volume.file)
    if isinstance(volume, LabelMap):
        place = np.rint(place)  # at whole voxels nothing is mixed
    values = map_coordinates(volume.data.astype(np.float64), place, order=1, mode="nearest")
    return np.asarray(values).reshape(velocities.mask.shape)


def spread(values: Floats, held: Mask | None = None) -> Spread:
    """Mean and standard deviation over the first axis, of the samples that hold a value (s, ...).

    The standard deviation is that within lumens and between them at once, since every sample has a lumen of its own.
    """
    if held is None:
        return Spread(values.mean(axis=0), values.std(axis=0, ddof=1))
    count = held.sum(axis=0)
    known = 2 * count >= len(held)
    mean = np.where(held, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    square = np.where(held, np.square(values - mean), 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    return Spread(np.where(known, mean, np.nan), np.where(known, np.sqrt(square), np.nan))
