"""Settings of a scattered field by the evidence.

The evidence is exact up to EXACT_LIMIT points and a composite of contiguous blocks above, as in a lumen (see
`fields._evidence`); the variance is profiled out. A quasi-random sweep over a wide prior comes first. Few data leave
the settings open, and then the best of them is overconfident: all of the sweep are kept with their posterior weights
(an importance-weighted average over settings). More data have one peak, which a simplex search climbs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.stats import qmc

from voxfield.errors import InputError
from voxfield.fields._neighbours import nearest, spread_blocks
from voxfield.fields._score import Score, profiled
from voxfield.fields.scattered._field import JITTER, Component, ScatteredGP
from voxfield.fields.scattered._helmholtz import SMOOTHNESS, Real, Settings, covariance

EXACT_LIMIT = 300
BLOCKS = 12
"""Blocks that are scored above that limit."""
FEW = 100
"""Points up to which the settings are averaged."""
SWEEP, SHORT_SWEEP = 2048, 32
"""Settings that are tried first, for few data and for more."""
LEAST_WEIGHT = 2e-2
"""Of settings that are kept, over the largest."""
EVALUATIONS = 70
NOISE_RATIO = (1e-6, 1.0)
FEWEST = 3


def fit(points: Real, values: Real, *, seed: int = 0, sweep: int = SWEEP) -> ScatteredGP:
    """Learn the settings of a field from measurements, and condition on them.

    points  (n, d), d 2 or 3
    values  (n, d) the vector at each point
    sweep   settings that few data are averaged over, a power of 2
    """
    points, values = np.asarray(points, dtype=np.float64), np.asarray(values, dtype=np.float64)
    _check(points, values)
    evidence = _Evidence(points, values)
    few = len(points) <= FEW
    swept = _sweep(points, sweep if few else SHORT_SWEEP, seed)
    if few:
        return ScatteredGP(points, values, _averaged(evidence, swept))
    best = max(swept, key=lambda settings: evidence(settings).log_evidence)
    climbed = [_climbed(evidence, best, points, EVALUATIONS)]
    for smoothness in SMOOTHNESS:
        if smoothness != best.smoothness:
            climbed.append(_climbed(evidence, replace(climbed[0], smoothness=smoothness), points, EVALUATIONS // 2))
    best = max(climbed, key=lambda settings: evidence(settings).log_evidence)
    return ScatteredGP(points, values, [Component(best, evidence(best).variance, 1.0)])


class _Evidence:
    """Scores of settings for one set of data, remembered."""

    def __init__(self, points: Real, values: Real) -> None:
        self._points = points
        self._values = values
        most = EXACT_LIMIT if len(points) <= EXACT_LIMIT else EXACT_LIMIT // 2
        self._blocks = spread_blocks(points, most, BLOCKS)
        self._known: dict[Settings, Score] = {}

    def __call__(self, settings: Settings) -> Score:
        if settings not in self._known:
            self._known[settings] = self._score(settings)
        return self._known[settings]

    def _score(self, settings: Settings) -> Score:
        square, log_determinant, scalars = 0.0, 0.0, 0
        for block in self._blocks:
            size = block.size * self._points.shape[1]
            matrix = covariance(self._points[block], self._points[block], settings).reshape(size, size)
            matrix[np.arange(size), np.arange(size)] += settings.noise_ratio + JITTER
            factor, fault = lapack.dpotrf(matrix, lower=1, clean=0)
            if fault:
                return Score(-np.inf, np.nan)
            white, _ = lapack.dtrtrs(factor, self._values[block].reshape(size, 1), lower=1)
            square += float(np.sum(np.square(white)))
            log_determinant += float(np.log(np.diag(factor)).sum())
            scalars += size
        found = profiled(square, scalars, log_determinant)
        return replace(found, log_evidence=found.log_evidence * self._values.size / scalars)


def _check(points: Real, values: Real) -> None:
    if points.ndim != 2 or points.shape != values.shape or points.shape[1] not in (2, 3):
        raise InputError(
            f"points have shape {points.shape} and values {values.shape}; expected both (n, 2) or both (n, 3)"
        )
    if len(points) < FEWEST:
        raise InputError(f"{len(points)} points are given; at least {FEWEST} are needed")
    if not (np.isfinite(points).all() and np.isfinite(values).all()):
        raise InputError("points and values must be finite; leave out what was not measured")
    if not values.any():
        raise InputError("every vector is zero: there is no field to learn from")


def _lengths(points: Real) -> tuple[float, float]:
    """From half the usual distance of neighbours to three times the widest extent."""
    distance = nearest(cKDTree(points), points, 2)[0]
    widest = float(np.ptp(points, axis=0).max())
    return max(0.5 * float(np.median(distance[:, 1])), 1e-3 * widest), 3 * widest


def _sweep(points: Real, count: int, seed: int) -> list[Settings]:
    """Settings spread over the prior: log lengths and log noise even, the share arcsine, so that pure parts count."""
    unit = qmc.Sobol(5, seed=seed).random(count)
    shortest, longest = np.log(_lengths(points))
    quietest, loudest = np.log(NOISE_RATIO)
    return [
        Settings(
            smoothness=SMOOTHNESS[int(len(SMOOTHNESS) * u[0])],
            solenoidal=float(np.exp(shortest + u[1] * (longest - shortest))),
            irrotational=float(np.exp(shortest + u[2] * (longest - shortest))),
            share=float(np.square(np.sin(0.5 * np.pi * u[3]))),
            noise_ratio=float(np.exp(quietest + u[4] * (loudest - quietest))),
        )
        for u in unit
    ]


def _averaged(evidence: _Evidence, swept: list[Settings]) -> list[Component]:
    log_evidence = np.array([evidence(settings).log_evidence for settings in swept])
    relative = np.exp(log_evidence - log_evidence.max())
    kept = np.flatnonzero(relative > LEAST_WEIGHT)
    total = relative[kept].sum()
    return [Component(swept[i], evidence(swept[i]).variance, float(relative[i] / total)) for i in kept]


def _climbed(evidence: _Evidence, start: Settings, points: Real, evaluations: int) -> Settings:
    """Nelder and Mead (1965) over lengths, share and noise."""
    lengths = np.log(_lengths(points))

    def settings(place: Real) -> Settings:
        solenoidal, irrotational = np.exp(np.clip(place[:2], *lengths))
        return replace(
            start,
            solenoidal=float(solenoidal),
            irrotational=float(irrotational),
            share=float(np.square(np.sin(place[2]))),
            noise_ratio=float(np.exp(np.clip(place[3], *np.log(NOISE_RATIO)))),
        )

    def loss(place: Real) -> float:
        value = evidence(settings(place)).log_evidence
        return -value if np.isfinite(value) else 1e12

    angle = np.arcsin(np.sqrt(start.share))
    first = np.array([np.log(start.solenoidal), np.log(start.irrotational), angle, np.log(start.noise_ratio)])
    simplex = first + np.vstack([np.zeros(4), np.diag([0.4, 0.4, 0.3, 0.8])])
    found = minimize(
        loss,
        first,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": evaluations, "xatol": 0.02, "fatol": 0.2},
    )
    return settings(np.asarray(found.x))
