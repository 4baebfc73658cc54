"""Covariances between what was observed: measured voxels, and points of the wall where the velocity is known.

Every observation is a block of three components. A measured voxel is H of the field (see `_observation`). A point of
the wall lies between a cell centre inside and one outside, at the fraction `share` of the way, and observes the linear
interpolation (1 - share) v_inside + share v_outside. Blocks are numbered walls first, then voxels.

The prior is stationary, so that covariances are tables over lags in cells: `voxel` between two voxels (lag in voxels),
`mixed` from a voxel to a centre, `centre` between two centres (lags in fine cells).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from voxfield.fields._observation import Observation
from voxfield.fields._prior import PAIRS, Complex, Int, Prior, Real


@dataclass(frozen=True)
class Points:
    """Where observations lie, in the indices of the box.

    voxels   (n, 3) measured voxels
    inside   (w, 3) fine cells inside the wall, one per point of the wall
    outside  (w, 3) their neighbours outside
    share    (w,) place of the wall between the two, 0 inside to 1 outside
    """

    voxels: Int
    inside: Int
    outside: Int
    share: Real

    @property
    def walls(self) -> int:
        """Number of points of the wall."""
        return len(self.inside)

    def __len__(self) -> int:
        return len(self.inside) + len(self.voxels)

    @property
    def wall_places(self) -> Real:
        """(w, 3) places of the points of the wall, fine cells."""
        places: Real = self.inside + self.share[:, None] * (self.outside - self.inside).astype(np.float64)
        return places


class Tables:
    """Covariances of a prior as the observations need them, each computed when it is first asked for."""

    def __init__(self, prior: Prior, observation: Observation) -> None:
        self.prior = prior
        self.observation = observation

    @cached_property
    def voxel(self) -> Real:
        """(coarse cells, 3, 3): covariance of two voxels by the lag from the first to the second."""
        refine = self.prior.box.refine
        seen = np.square(np.abs(self.observation.symbol)) if not self.observation.is_identity else None
        step = slice(None, None, refine)
        return self._table(seen, (step, step, step))

    @cached_property
    def mixed(self) -> Real:
        """(fine cells, 3, 3): covariance of a voxel and a cell centre, by the lag from refine * i to the centre."""
        everything = (slice(None), slice(None), slice(None))
        return self._table(None if self.observation.is_identity else self.observation.symbol.conj(), everything)

    @cached_property
    def centre(self) -> Real:
        """(fine cells, 3, 3): covariance of two cell centres by the lag between them."""
        if self.observation.is_identity:
            return self.mixed
        return self._table(None, (slice(None), slice(None), slice(None)))

    def _table(self, transfer: Complex | Real | None, part: tuple[slice, slice, slice]) -> Real:
        shape = self.prior.box.shape
        table: Real | None = None
        for a, b in PAIRS:
            spectrum = self.prior.spectrum(a, b)
            values = fft.irfftn(spectrum if transfer is None else spectrum * transfer, shape)[part]
            if table is None:
                table = np.empty((*values.shape, 3, 3))
            table[..., a, b] = values
            table[..., b, a] = values
        assert table is not None  # noqa: S101 - PAIRS is not empty
        return table.reshape(-1, 3, 3)


@dataclass(frozen=True)
class Covariance:
    """Covariance of the observations: prior plus noise, with the variance of the prior set to 1.

    noise  (blocks, 3, 3) covariance of the noise of every block
    """

    tables: Tables
    points: Points
    noise: Real

    def assemble(self, sets: Int, wall_columns: int) -> Real:
        """Covariance matrices of sets of blocks.

        sets          (b, m) block indices, -1 for none: such a block is independent of all others, with unit variance
        wall_columns  the first columns, which hold points of the wall; the others hold voxels
        returns       (b, 3 m, 3 m)
        """
        points, walls = self.points, self.points.walls
        w, v = sets[:, :wall_columns], sets[:, wall_columns:] - walls
        absent = sets < 0
        count, width = sets.shape
        matrix = np.empty((count, width, 3, width, 3))
        full = matrix.transpose(0, 1, 3, 2, 4)  # written in pairs of blocks, read as a matrix
        if v.shape[1]:
            voxels = points.voxels[np.where(absent[:, wall_columns:], 0, v)]
            full[:, wall_columns:, wall_columns:] = self._voxel_voxel(voxels)
        if w.shape[1]:
            index = np.where(absent[:, :wall_columns], 0, w)
            full[:, :wall_columns, :wall_columns] = self._wall_wall(index)
            if v.shape[1]:
                mixed = self.mixed(voxels, index)
                full[:, wall_columns:, :wall_columns] = mixed
                full[:, :wall_columns, wall_columns:] = mixed.transpose(0, 2, 1, 4, 3)
        if absent.any():
            full[absent] = 0
            full.transpose(0, 2, 1, 3, 4)[absent] = 0
        diagonal = np.arange(width)
        full[:, diagonal, diagonal] += np.where(absent[..., None, None], np.eye(3), self.noise[sets])
        return matrix.reshape(count, 3 * width, 3 * width)

    def mixed(self, voxels: Int, walls: Int) -> Real:
        """Covariance of voxels (b, m, 3) and points of the wall (b, k), as (b, m, k, 3, 3)."""
        points = self.points
        share = points.share[walls][:, None, :, None, None]
        near = self.voxel_centre(voxels, points.inside[walls])
        return (1 - share) * near + share * self.voxel_centre(voxels, points.outside[walls])

    def voxel_centre(self, voxels: Int, centres: Int) -> Real:
        """Covariance of voxels (b, m, 3) and cell centres (b, k, 3), as (b, m, k, 3, 3)."""
        box = self.tables.prior.box
        lag = centres[:, None] - box.refine * voxels[:, :, None]
        return self.tables.mixed[_flat(lag, box.shape)]

    def wall_centre(self, walls: Int, centres: Int) -> Real:
        """Covariance of points of the wall (b, k) and cell centres (b, m, 3), as (b, k, m, 3, 3)."""
        points, shape = self.points, self.tables.prior.box.shape
        total = np.zeros((*walls.shape, centres.shape[1], 3, 3))
        for place, weight in ((points.inside, 1 - points.share), (points.outside, points.share)):
            lag = centres[:, None] - place[walls][:, :, None]
            total += weight[walls][:, :, None, None, None] * self.tables.centre[_flat(lag, shape)]
        return total

    def _voxel_voxel(self, voxels: Int) -> Real:
        lag = voxels[:, None] - voxels[:, :, None]
        return self.tables.voxel[_flat(lag, self.tables.prior.box.coarse)]

    def _wall_wall(self, walls: Int) -> Real:
        points = self.points
        share = points.share[walls][:, None, :, None, None]
        near = self.wall_centre(walls, points.inside[walls])
        return (1 - share) * near + share * self.wall_centre(walls, points.outside[walls])


def _flat(lag: Int, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Lags (..., 3), each shorter than the periodic box, as flat indices."""
    x, y, z = (np.where(lag[..., axis] < 0, lag[..., axis] + shape[axis], lag[..., axis]) for axis in range(3))
    return (x * shape[1] + y) * shape[2] + z
