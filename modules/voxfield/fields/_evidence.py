"""Log marginal likelihood of the measured velocity, and the settings that it prefers.

Up to EXACT_LIMIT scalars the evidence is exact, by Cholesky factorisation. Above, it is Vecchia's approximation (see
`_vecchia`) over a random part of the voxels, scaled to all of them: every voxel of the part is conditioned on its
nearest earlier voxels and on the nearest points of the wall. Walls are conditioned on, never scored: p(data | wall)
can be compared between wall conditions, because the data are the same.

The variance of the field is profiled out: with noise given as a ratio to it, its estimate is the mean square of the
whitened data. A voxel that the lumen fills by the fraction f only has noise of variance ratio * f^(-2 partial): partial
volume. The exponent is for the evidence to choose; 1 is what the loss of signal alone does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from voxfield.fields._blocks import Covariance, Points, Tables
from voxfield.fields._observation import Observation
from voxfield.fields._prior import Int, Prior, Real
from voxfield.fields._vecchia import Conditionals, NotPositive, conditionals, earlier_neighbours, nearest
from voxfield.fields._walls import Condition, WallPoints, wall_noise

EXACT_LIMIT = 1500
"""Scalar observations up to which the evidence is exact."""
LEAST_FRACTION = 0.05
"""Fraction of a voxel below which its noise grows no more."""


@dataclass(frozen=True)
class Model:
    """What the evidence judges.

    length_mm, smoothness  of the prior
    noise_ratio            variance of the noise over that of the field, in a voxel full of lumen
    partial                exponent of the noise of partly filled voxels
    correlation            of the noise of two components
    condition, level       at the wall, and the level set that is the wall
    wall_ratio             variance with which the condition is observed, over that of the noise
    """

    length_mm: float
    smoothness: float
    noise_ratio: float
    partial: float = 1.0
    correlation: float = 0.0
    condition: Condition = "none"
    level: float = 0.5
    wall_ratio: float = 0.1


@dataclass(frozen=True)
class Measured:
    """Measured voxels in random order.

    voxels    (n, 3) indices in the box
    values    (n, 3, t) along the voxel axes
    fraction  (n,) share of the voxel that the lumen fills
    axes      (3, 3) voxel axes in the world; noise is correlated between world components
    """

    voxels: Int
    values: Real
    fraction: Real
    axes: Real

    def noise(self, model: Model) -> Real:
        """(n, 3, 3) covariance of the noise over the variance of the field."""
        mixing = (1 - model.correlation) * np.eye(3) + model.correlation
        variance = model.noise_ratio * np.maximum(self.fraction, LEAST_FRACTION) ** (-2 * model.partial)
        spread: Real = variance[:, None, None] * (self.axes.T @ mixing @ self.axes)
        return spread


@dataclass(frozen=True)
class Score:
    """Log evidence of a model at the variance of the field that suits it best (or that the noise fixes)."""

    log_evidence: float
    variance: float


@dataclass(frozen=True)
class Evidence:
    """The evidence of models for one set of data.

    observation  of the voxels
    measured     the data
    walls        points of the wall by level
    noise_sd     standard deviation of the noise where it is known, unit of the data; None: estimated
    neighbours   earlier voxels that a voxel is conditioned on
    wall_neighbours  points of the wall that it is conditioned on
    scored       voxels in the part that is scored
    """

    observation: Observation
    measured: Measured
    walls: dict[float, WallPoints]
    noise_sd: float | None = None
    neighbours: int = 32
    wall_neighbours: int = 16
    scored: int = 400

    def __call__(self, model: Model) -> Score:
        """Score a model; the evidence is -inf where rounding spoils it."""
        try:
            return self._score(model)
        except NotPositive:
            return Score(-np.inf, np.nan)

    @property
    def is_exact(self) -> bool:
        """Whether the data are few enough for the exact evidence."""
        return 3 * len(self.measured.voxels) <= EXACT_LIMIT

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

    def voxel_sets(self, model: Model, targets: Int, neighbours: int, wall_neighbours: int) -> Int:
        """Blocks that the voxels `targets` are conditioned on: walls first, then voxels, then the target itself."""
        points = self.points(model)
        place = self._places
        near_walls = nearest(points.wall_places, place[targets], min(wall_neighbours, points.walls))
        earlier = self._earlier(neighbours)[targets]
        voxels = np.concatenate([earlier, targets[:, None]], axis=1)
        return np.concatenate([near_walls, np.where(voxels < 0, -1, voxels + points.walls)], axis=1)

    def factor(self, model: Model, targets: Int, neighbours: int, wall_neighbours: int) -> Conditionals:
        """Conditionals of voxels given earlier voxels and the wall."""
        covariance = self.covariance(model)
        sets = self.voxel_sets(model, targets, neighbours, wall_neighbours)
        walls = min(wall_neighbours, covariance.points.walls)
        return conditionals(lambda part: covariance.assemble(part, walls), sets)

    def _score(self, model: Model) -> Score:
        count, frames = len(self.measured.voxels), self.measured.values.shape[2]
        if self.is_exact:
            white, log_determinant, used = self._exact(model)
        else:
            factor = self.factor(model, self._targets, self.neighbours, self.wall_neighbours)
            walls = self.points(model).walls
            values = np.concatenate([np.zeros((walls, 3, frames)), self.measured.values])
            white, log_determinant, used = factor.whiten(values), factor.log_determinant, len(self._targets)
        scalars, square = 3 * used * frames, float(np.sum(np.square(white)))
        variance = square / scalars if self.noise_sd is None else self.noise_sd**2 / model.noise_ratio
        log_density = frames * log_determinant - 0.5 * (scalars * np.log(2 * np.pi * variance) + square / variance)
        return Score(log_density * count / used, variance)

    def _exact(self, model: Model) -> tuple[Real, float, int]:
        covariance = self.covariance(model)
        points, frames = covariance.points, self.measured.values.shape[2]
        matrix = covariance.assemble(np.arange(len(points))[None], points.walls)[0]
        factor, fault = lapack.dpotrf(matrix, lower=1, clean=0)
        if fault:
            raise NotPositive(len(matrix))
        values = np.concatenate([np.zeros((points.walls, 3, frames)), self.measured.values]).reshape(-1, frames)
        white, _ = lapack.dtrtrs(factor, values, lower=1)
        own = slice(3 * points.walls, None)
        return white[own], -float(np.log(np.diag(factor)[own]).sum()), len(self.measured.voxels)

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

    def _earlier(self, neighbours: int) -> Int:
        found = self._neighbours.get(neighbours)
        if found is None:
            found = self._neighbours[neighbours] = earlier_neighbours(self._places, neighbours)
        return found

    @cached_property
    def _cache(self) -> dict[str, object]:
        return {}

    @cached_property
    def _neighbours(self) -> dict[int, Int]:
        return {}

    @cached_property
    def _places(self) -> Real:
        """(n, 3) places of the voxels, fine cells."""
        return self.measured.voxels * float(self.observation.box.refine) + self.observation.offset

    @cached_property
    def _targets(self) -> Int:
        """The scored voxels, evenly over the (random) order."""
        count = len(self.measured.voxels)
        return np.unique(np.linspace(0, count - 1, min(count, self.scored)).round().astype(np.int64))


@dataclass(frozen=True)
class Bounds:
    """Where the settings are looked for."""

    length_mm: tuple[float, float]
    noise_ratio: tuple[float, float] = (1e-6, 1e2)
    partial: tuple[float, float] = (0.0, 4.0)


def fit(evidence: Callable[[Model], Score], start: Model, bounds: Bounds, *, evaluations: int) -> Model:
    """Move length, noise ratio and partial-volume exponent to where the evidence is largest (Nelder and Mead 1965)."""

    def model(place: Real) -> Model:
        return replace(start, length_mm=np.exp(place[0]), noise_ratio=np.exp(place[1]), partial=float(place[2]))

    def loss(place: Real) -> float:
        value = evidence(model(place)).log_evidence
        return -value if np.isfinite(value) else 1e12

    box = [tuple(np.log(bounds.length_mm)), tuple(np.log(bounds.noise_ratio)), bounds.partial]
    first = np.array([np.log(start.length_mm), np.log(start.noise_ratio), start.partial])
    simplex = first + np.array([[0, 0, 0], [0.3, 0, 0], [0, 0.7, 0], [0, 0, 0.5 if start.partial < 3 else -0.5]])
    lowest, highest = np.array(box).T
    options = {"initial_simplex": np.clip(simplex, lowest, highest), "maxfev": evaluations, "xatol": 0.02, "fatol": 0.3}
    found = minimize(loss, first, method="Nelder-Mead", bounds=box, options=options)
    return model(found.x)


def best(evidence: Callable[[Model], Score], models: Iterable[Model]) -> Model:
    """The model of largest evidence; the first of equals."""
    return max(models, key=lambda model: evidence(model).log_evidence)
