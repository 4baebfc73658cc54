"""Log marginal likelihood of the measured velocity.

Up to EXACT_LIMIT voxels the evidence is exact, by Cholesky factorisation. Above, it is a composite likelihood (Varin,
Reid and Firth 2011): the voxels are cut into contiguous blocks, each with the wall that lies beside it; the evidence of
every block is exact, blocks are taken as independent, and where not all blocks are scored the sum is scaled to all
voxels. (Vecchia's approximation with 30 to 60 neighbours was tried first: with smooth fields and noise it prefers
length scales twice too long.) Walls are conditioned on, never scored: p(data | wall) can be compared between wall
conditions, because the data are the same.

The variance of the field is profiled out: with noise given as a ratio to it, its estimate is the mean square of the
whitened data. A voxel that the lumen fills by the fraction f only has noise of variance ratio * f^(-2 partial): partial
volume. The exponent is for the evidence to choose; 1 is what the loss of signal alone does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import lapack
from scipy.spatial import cKDTree

from voxfield.fields._blocks import Covariance, Points, Tables
from voxfield.fields._model import Measured, Model
from voxfield.fields._neighbours import nearest, spread_blocks
from voxfield.fields._observation import Observation
from voxfield.fields._prior import Int, Prior, Real
from voxfield.fields._score import Score
from voxfield.fields._vecchia import NotPositive
from voxfield.fields._walls import WallPoints, wall_noise

EXACT_LIMIT = 400
"""Voxels up to which the evidence is exact."""
BLOCK = 200
"""Most voxels of a block, above that limit."""


@dataclass(frozen=True)
class Evidence:
    """The evidence of models for one set of data.

    observation  of the voxels
    measured     the data
    walls        points of the wall by level
    noise_sd     standard deviation of the noise where it is known, unit of the data; None: estimated
    scored       most blocks that are scored
    shares       (t,) of the prior's variance that the columns of the data have, see `_frames`; None: 1
    """

    observation: Observation
    measured: Measured
    walls: dict[float, WallPoints]
    noise_sd: float | None = None
    scored: int = 10
    shares: Real | None = None

    def __call__(self, model: Model) -> Score:
        """Score a model; the evidence is -inf where rounding spoils it."""
        known = self._scores.get(model)
        if known is None:
            try:
                known = self._score(model)
            except NotPositive:
                known = Score(-np.inf, np.nan)
            self._scores[model] = known
        return known

    @property
    def is_exact(self) -> bool:
        """Whether the data are few enough for the exact evidence."""
        return len(self.measured.voxels) <= EXACT_LIMIT

    def covariance(self, model: Model) -> Covariance:
        """Covariance of the points of the wall and the voxels, in that order."""
        points = self.points(model)
        walls = self._wall(model)
        noise = self.measured.noise(model)
        if points.walls:
            bound = wall_noise(model.condition, walls.normal, model.wall_ratio * model.noise_ratio)
            noise = np.concatenate([bound, noise])
        return Covariance(self._tables(model), points, noise)

    def points(self, model: Model) -> Points:
        """Places of all observations."""
        walls = self._wall(model)
        return Points(self.measured.voxels, walls.inside, walls.outside, walls.share)

    @property
    def places(self) -> Real:
        """(n, 3) places of the voxels, fine cells."""
        places: Real = self.measured.voxels.astype(np.float64) * self.observation.box.refine + self.observation.offset
        return places

    def _score(self, model: Model) -> Score:
        square, log_determinant = 0.0, 0.0
        values, used = self.measured.values, sum(len(voxels) for voxels in self._blocks)
        for share, columns in self._groups:
            covariance = self.covariance(replace(model, noise_ratio=model.noise_ratio / share))
            for voxels, walls in zip(self._blocks, self._block_walls(model), strict=True):
                white, part = _whiten(covariance, voxels, walls, values[voxels][..., columns])
                square += float(np.sum(np.square(white))) / share
                log_determinant += len(columns) * (part + 1.5 * len(voxels) * float(np.log(share)))
        count, frames = len(self.measured.voxels), self.measured.values.shape[2]
        scalars = 3 * used * frames
        variance = square / scalars if self.noise_sd is None else self.noise_sd**2 / model.noise_ratio
        log_density = -log_determinant - 0.5 * (scalars * np.log(2 * np.pi * variance) + square / variance)
        return Score(float(log_density * count / used), float(variance))

    @cached_property
    def _groups(self) -> list[tuple[float, Int]]:
        """Shares, and the columns of the data that have them."""
        if self.shares is None:
            return [(1.0, np.arange(self.measured.values.shape[2]))]
        return [(float(share), np.flatnonzero(self.shares == share)) for share in np.unique(self.shares)]

    @cached_property
    def _blocks(self) -> list[Int]:
        """Voxels of the scored blocks."""
        return spread_blocks(self.places, EXACT_LIMIT if self.is_exact else BLOCK, self.scored)

    def _block_walls(self, model: Model) -> list[Int]:
        """Points of the wall that lie beside the voxels of each block."""
        points = self.points(model)
        if not points.walls:
            return [np.empty(0, dtype=np.int64)] * len(self._blocks)
        found = self._beside.get(model.level)
        if found is None:
            owner = nearest(cKDTree(self.places), points.wall_places, 1)[1][:, 0]
            found = self._beside[model.level] = [np.flatnonzero(np.isin(owner, voxels)) for voxels in self._blocks]
        return found

    def _wall(self, model: Model) -> WallPoints:
        if model.condition == "none":
            none = np.empty((0, 3), dtype=np.int64)
            return WallPoints(none, none, np.empty(0), np.empty((0, 3)))
        return self.walls[model.level]

    def _tables(self, model: Model) -> Tables:
        key = (model.length_mm, model.smoothness)
        if self._cache.get("key") != key:
            self._cache["key"] = key
            self._cache["tables"] = Tables(Prior(self.observation.box, *key), self.observation)
        tables = self._cache["tables"]
        assert isinstance(tables, Tables)  # noqa: S101 - for the type checker
        return tables

    @cached_property
    def _cache(self) -> dict[str, object]:
        return {}

    @cached_property
    def _scores(self) -> dict[Model, Score]:
        return {}

    @cached_property
    def _beside(self) -> dict[float, list[Int]]:
        return {}


def _whiten(covariance: Covariance, voxels: Int, walls: Int, values: Real) -> tuple[Real, float]:
    """Whitened data of a block given its wall, and half the log determinant of their covariance."""
    sets = np.concatenate([walls, voxels + covariance.points.walls])
    matrix = covariance.assemble(sets[None], len(walls))[0]
    factor, fault = lapack.dpotrf(matrix, lower=1, clean=0)
    if fault:
        raise NotPositive(len(matrix))
    padded = np.concatenate([np.zeros((len(walls), *values.shape[1:])), values]).reshape(len(matrix), -1)
    white, _ = lapack.dtrtrs(factor, padded, lower=1)
    own = slice(3 * len(walls), None)
    return white[own], float(np.log(np.diag(factor)[own]).sum())
