"""Pointwise posterior variance by kriging from the nearest observations.

Cells that lie together share the observations that they are conditioned on. Conditioning on fewer observations than
there are, the variance is a little too large, unless all are taken, as up to SMALL.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack
from scipy.spatial import cKDTree

from voxfield.fields._blocks import Covariance
from voxfield.fields._neighbours import nearest
from voxfield.fields._prior import Int, Real
from voxfield.fields._vecchia import CHUNK

NEIGHBOURS = 40
WALL_NEIGHBOURS = 16
SMALL = 600
"""Observations up to which every cell is conditioned on all of them."""


class Kriging:
    """Variances under a covariance of observations, with the variance of the prior set to 1."""

    def __init__(self, covariance: Covariance, places: Real) -> None:
        self._covariance = covariance
        self._places = places

    @property
    def is_small(self) -> bool:
        """Whether every cell is conditioned on all observations, so that its variance is exact."""
        return len(self._covariance.points) <= SMALL

    def variance(self, cells: Int) -> Real:
        """Posterior variance of the components at the centres of fine cells (n, 3)."""
        points = self._covariance.points
        centre, member = self._parents(cells)
        order = np.argsort(member, kind="stable")
        ends = np.searchsorted(member[order], np.arange(len(centre) + 1))
        walls = points.walls if self.is_small else min(WALL_NEIGHBOURS, points.walls)
        near_walls = nearest(cKDTree(points.wall_places), centre, walls)[1]
        near = nearest(cKDTree(self._places), centre, len(self._places) if self.is_small else NEIGHBOURS)[1]
        sets = np.concatenate([near_walls, np.where(near < 0, -1, near + points.walls)], axis=1)
        variance = np.empty((len(cells), 3))
        for start in range(0, len(centre), CHUNK):
            for row, matrix in enumerate(self._covariance.assemble(sets[start : start + CHUNK], walls), start):
                group = order[ends[row] : ends[row + 1]]
                variance[group] = self._conditional(matrix, sets[row], cells[group], walls)
        return variance

    def _parents(self, cells: Int) -> tuple[Real, Int]:
        """Middles of what shares its observations, fine cells, and which of them a cell belongs to.

        These are the measured voxels, or blocks of two cells a side where the grid is not refined.
        """
        observation = self._covariance.tables.observation
        if self.is_small:
            return np.zeros((1, 3)), np.zeros(len(cells), dtype=np.int64)
        side, offset = (2, 0.5) if observation.is_identity else (observation.box.refine, observation.offset)
        place = np.rint((cells - offset) / side).astype(np.int64)
        parent, member = np.unique(place, axis=0, return_inverse=True)
        centre: Real = parent.astype(np.float64) * side + offset
        return centre, member.ravel().astype(np.int64)

    def _cross(self, blocks: Int, cells: Int, walls: int) -> Real:
        """Covariance of observations (m,) with the centres of cells (g, 3), as (3 m, 3 g)."""
        covariance, points = self._covariance, self._covariance.points
        parts = [covariance.voxel_centre(points.voxels[blocks[walls:] - points.walls][None], cells[None])[0]]
        if walls:
            parts.insert(0, covariance.wall_centre(blocks[:walls][None], cells[None])[0])
        joined = np.concatenate(parts)
        crossed: Real = joined.transpose(0, 2, 1, 3).reshape(3 * len(blocks), 3 * len(cells))
        return crossed

    def _conditional(self, matrix: Real, blocks: Int, cells: Int, walls: int) -> Real:
        """Variance of cells (g, 3) given blocks (m,) with the covariance `matrix`."""
        factor, _ = lapack.dpotrf(matrix, lower=1, clean=0)
        own = np.array([self._covariance.tables.centre[0, a, a] for a in range(3)])
        variance = np.empty((len(cells), 3))
        for start in range(0, len(cells), 512):
            part = cells[start : start + 512]
            explained, _ = lapack.dtrtrs(factor, self._cross(blocks, part, walls), lower=1)
            left = np.tile(own, len(part)) - np.einsum("ij,ij->j", explained, explained)
            variance[start : start + 512] = np.maximum(left, 0.0).reshape(len(part), 3)
        return variance
