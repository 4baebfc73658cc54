"""Choosing the settings of a field by its evidence.

Two nested searches: outside, length of the local kernel and noise (Nelder-Mead; each try whitens the scored data
anew), for every smoothness that may be chosen; inside, share, length and smoothness of the spectrum (gradients). Of
many observations some are scored, each given its neighbours among all. A first search, with fewer and without modes,
finds where to begin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, minimize

from voxfield.fields._score import Score
from voxfield.fields.manifold._kriging import Kernel, Neighbourhoods, Smoothness, Weights
from voxfield.fields.manifold._likelihood import Intrinsic, Whitened, fit_intrinsic, plain_score
from voxfield.fields.manifold._neighbourhoods import closest
from voxfield.fields.manifold._patches import Int, Real
from voxfield.fields.manifold._places import Places
from voxfield.fields.manifold._spectrum import Band, Kind

SMOOTHNESSES: tuple[Smoothness, ...] = ("gaussian", "matern-5/2")
"""Of the local part, from which the evidence chooses."""
Parts = Literal["sum", "intrinsic", "ambient"]
NEIGHBOURS = 30
"""Earlier observations that one is conditioned on."""
SCORED = 150
"""Observations that are scored, and one in a hundred more."""
NOISE = (1e-8, 1e3)
"""Bounds of the variance of the noise over that of the local part."""
TRIES = 12
"""Settings that are tried with all scored observations and all parts, for each smoothness."""
SCOUTS, SCOUT_TRIES = 60, 24
"""Observations of a first search without modes, and the settings that it tries."""


@dataclass(frozen=True)
class Observed:
    """Observations in random order.

    places      where
    values      (s, a) tangent parts of what was observed
    candidates  (s, p) nearest observations along the domain, -1 for none
    """

    places: Places
    values: Real
    candidates: Int

    @property
    def without_modes(self) -> Observed:
        """The same with no modes at all."""
        return replace(self, places=replace(self.places, features=self.places.features[:, :, :0]))

    def earlier(self, chosen: Int) -> Int:
        """(b, p) nearest earlier observations of those chosen, -1 for fewer."""
        points = self.places.points
        return closest(points, self.candidates[chosen], points[chosen], NEIGHBOURS, chosen)


@dataclass(frozen=True)
class Wishes:
    """What may be chosen.

    parts       kernels that are summed
    spectrum    of the intrinsic part
    smoothness  of the local part
    noise_sd    standard deviation of the noise of a component where it is known
    """

    parts: Parts = "sum"
    spectrum: Kind = "matern"
    smoothness: tuple[Smoothness, ...] = SMOOTHNESSES
    noise_sd: float | None = None


@dataclass(frozen=True)
class Settings:
    """What was chosen. Variances of a component; `noise_ratio` and `intrinsic` are relative to `variance`.

    local        kernel of the local part, of variance `variance`; None in the intrinsic kernel
    intrinsic    part; None in the ambient kernel
    noise_ratio  variance of the noise
    variance     unit of the field squared
    log_evidence of the scored observations
    """

    local: Kernel | None
    intrinsic: Intrinsic | None
    noise_ratio: float
    variance: float
    log_evidence: float

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of a component."""
        return float(np.sqrt(self.variance * self.noise_ratio))


def whiten(observed: Observed, weights: Weights | None, noise_ratio: float, scored: Int) -> Whitened:
    """Whitened products of the scored observations (b,), given the weights of their neighbours (rows, in order)."""
    here, values = observed.places.take(scored), observed.values[scored][:, :, None]
    features, spread = here.features, np.ones(len(scored))
    if weights is not None:
        values = values - _told(weights, observed.values[:, :, None])
        features = features - _told(weights, observed.places.features)
        spread = np.sqrt(weights.variance + noise_ratio)
    data = _tangent(here.bases, values, spread)[:, 0]
    known = _tangent(here.bases, features, spread)
    log_scale = here.bases.shape[2] * float(np.log(spread).sum())
    return Whitened(known.T @ known, known.T @ data, float(data @ data), log_scale, len(data))


def _told(weights: Weights, values: Real) -> Real:
    """What the neighbours tell: (b, a, q) of values (s, a, q)."""
    told: Real = weights.matrix @ values.reshape(len(values), values.shape[1] * values.shape[2])
    return told.reshape(told.shape[0], *values.shape[1:])


def _tangent(bases: Real, values: Real, spread: Real) -> Real:
    """Tangent coordinates of values (b, a, q) in units of their spread (b,), as (b c, q)."""
    inside = bases.transpose(0, 2, 1) @ values / spread[:, None, None]
    joined: Real = inside.reshape(inside.shape[0] * inside.shape[1], values.shape[2])
    return joined


def choose(observed: Observed, band: Band | None, wishes: Wishes, extent: float, spacing: float) -> Settings:
    """Settings with the largest evidence.

    extent, spacing  of the domain: bounds of the length of the local kernel
    """
    count = len(observed.places)
    scored = np.unique(np.linspace(0, count - 1, min(count, SCORED + count // 100)).astype(np.int64))
    if wishes.parts == "intrinsic":
        if band is None:
            raise ValueError("the intrinsic kernel has modes")
        return _intrinsic_only(observed, band, wishes)
    bounds = Bounds(np.log([0.5 * spacing, NOISE[0]]), np.log([4 * extent, NOISE[1]]))
    few = scored[:: -(-len(scored) // SCOUTS)]
    best: Settings | None = None
    for smoothness in wishes.smoothness:
        scout = _Search(observed.without_modes, None, wishes, smoothness, few, bounds)
        place = scout.climb(np.log([0.2 * extent, 1e-2]), np.array([0.9, -2.5]), SCOUT_TRIES)
        search = _Search(observed, band, wishes, smoothness, scored, bounds)
        search.climb(place, np.array([0.3, 0.5]), TRIES)
        if best is None or (search.best is not None and search.best.log_evidence > best.log_evidence):
            best = search.best
    if best is None:
        raise ValueError("at least one smoothness")
    return best


def _intrinsic_only(observed: Observed, band: Band, wishes: Wishes) -> Settings:
    everyone = np.arange(len(observed.places))
    data = whiten(observed, None, 1.0, everyone)
    found, value = fit_intrinsic(data, band, wishes.spectrum, None, tail_counts=True)
    return Settings(None, found, max(1 - found.tail, NOISE[0]), value.variance, value.log_evidence)


class _Search:
    """Search for length and noise of one local kernel; `best` is the best setting so far."""

    def __init__(
        self,
        observed: Observed,
        band: Band | None,
        wishes: Wishes,
        smoothness: Smoothness,
        scored: Int,
        bounds: Bounds,
    ) -> None:
        self.best: Settings | None = None
        self._observed, self._band, self._wishes, self._smoothness = observed, band, wishes, smoothness
        self._scored, self._bounds = scored, bounds
        points, alone = observed.places.points, np.arange(len(scored))[:, None]
        self._near = Neighbourhoods(points, observed.earlier(scored), alone, points[scored])

    def climb(self, start: Real, step: Real, tries: int) -> Real:
        """Log length and log noise ratio (2,) where the evidence is largest, from a simplex of a step along each."""
        simplex = np.clip(start + np.array([[0, 0], [step[0], 0], [0, step[1]]]), self._bounds.lb, self._bounds.ub)
        found = minimize(
            self._loss,
            simplex[0],
            method="Nelder-Mead",
            bounds=self._bounds,
            options={"initial_simplex": simplex, "maxfev": tries, "xatol": 0.05, "fatol": 0.2},
        )
        return np.asarray(found.x)

    def _loss(self, place: Real) -> float:
        length, noise_ratio = (float(value) for value in np.exp(place))
        local = Kernel(self._smoothness, length)
        weights = self._near.krige(local, np.full(len(self._observed.places), noise_ratio))
        data = whiten(self._observed, weights, noise_ratio, self._scored)
        known = None if self.best is None else self.best.intrinsic
        intrinsic, value = _inner(data, self._band, self._wishes, known)
        value = _at_known_noise(value, data.count, noise_ratio, self._wishes.noise_sd)
        if self.best is None or value.log_evidence > self.best.log_evidence:
            self.best = Settings(local, intrinsic, noise_ratio, value.variance, value.log_evidence)
        return -value.log_evidence


def _inner(
    data: Whitened, band: Band | None, wishes: Wishes, known: Intrinsic | None
) -> tuple[Intrinsic | None, Score]:
    if band is None:
        return None, plain_score(data)
    return fit_intrinsic(data, band, wishes.spectrum, known, tail_counts=False)


def _at_known_noise(value: Score, count: int, noise_ratio: float, noise_sd: float | None) -> Score:
    """The score where the variance is not free, because the noise is known."""
    if noise_sd is None:
        return value
    variance = noise_sd**2 / noise_ratio
    ratio = value.variance / variance
    return Score(value.log_evidence + 0.5 * count * (1 + np.log(ratio) - ratio), variance)
