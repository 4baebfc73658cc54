"""One axis: the frequencies found from the forcing, and the evidence that decides how many there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from voxfield.pde.gp_hm._evidence import Regression, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxfield.pde.gp_hm._axis import AxisKernel
    from voxfield.pde.gp_hm._envelope import Floats


@dataclass(frozen=True)
class Known:
    """Values of a derivative at points of the axis: (k,) points, (k, m) values, (k,) standard deviations."""

    points: Floats
    order: int
    values: Floats
    sd: Floats


@dataclass(frozen=True)
class Line:
    """`sum coefficient * d^order u = values + noise` at points of an axis, and known values of u.

    points   (n,)
    values   (n, m) independent columns with one kernel
    terms    pairs (coefficient, order)
    known    boundary values, observations
    noise    lowest and highest standard deviation of the noise; equal where it is known
    """

    points: Floats
    values: Floats
    terms: tuple[tuple[float, int], ...]
    known: tuple[Known, ...]
    noise: tuple[float, float]

    def rows(self, kernel: AxisKernel) -> Rows:
        """The data as observations of the coefficients of a kernel."""
        basis = np.linalg.qr(kernel.raw(self.points))[0]
        reduced = basis.T @ self._columns
        matrix = sum(c * (basis.T @ kernel.raw(self.points, k)) for c, k in self.terms) @ kernel.whitening
        none, width = np.zeros((0, len(kernel.blocks))), self._columns.shape[1]
        known = [kernel.design(part.points, part.order) for part in self.known]
        return Rows(
            np.vstack([none, *known]),
            np.vstack([np.zeros((0, width)), *[part.values for part in self.known]]),
            np.concatenate([np.zeros(0), *[part.sd for part in self.known]]),
            matrix,
            reduced,
            len(self.points),
            float(((self._columns - basis @ reduced) ** 2).sum()),
            self.values.shape[1],
        )

    def applied(self, kernel: AxisKernel, coefficients: Floats) -> Floats:
        """The left side (n, m) for coefficients (n, m)."""
        return np.asarray(sum(c * kernel.design(self.points, k) for c, k in self.terms) @ coefficients)

    @cached_property
    def _columns(self) -> Floats:
        """The values in as few orthogonal columns as they have rank: only their second moment counts."""
        if self.values.shape[1] == 1:
            return self.values
        left, sizes, _ = np.linalg.svd(self.values, full_matrices=False)
        kept = max(int((sizes > _RANK * sizes[0]).sum()), 1)
        return np.asarray(left[:, :kept] * sizes[:kept])


@dataclass(frozen=True)
class Fit:
    """A kernel with its posterior on a line."""

    line: Line
    kernel: AxisKernel
    regression: Regression

    @property
    def log_evidence(self) -> float:
        """Of the kernel, at its weights and noise."""
        return self.regression.log_evidence

    @cached_property
    def residual(self) -> Floats:
        """What the mean leaves of the forcing, (n, m)."""
        return np.asarray(self.line._columns - self.line.applied(self.kernel, self.regression.mean))

    def weights(self) -> Floats:
        """One prior variance a component: trend first."""
        return self.regression.weights[np.unique(self.kernel.blocks, return_index=True)[1]]


def fit(line: Line, kernel: AxisKernel, weights: Floats, noise: float, steps: int = 40) -> Fit:
    """Weights (one a component; those not yet known as zero) and noise by evidence, for a given kernel."""
    rows = line.rows(kernel)
    blocks = kernel.blocks
    energy = (rows.forcing**2).sum(axis=0)
    level = float((rows.forcing_values**2).sum()) / rows.draws
    if level == 0:
        energy, level = (rows.known**2).sum(axis=0), float((rows.known_values**2).sum()) / rows.draws
    equal = level / np.maximum(np.bincount(blocks, energy), np.finfo(float).tiny)
    start = np.where(weights > 0, weights, equal)
    begun = Regression(rows, start[blocks], float(np.clip(noise, *line.noise)))
    return Fit(line, kernel, begun.optimal(blocks, line.noise, steps))


def find(line: Line, kernel: AxisKernel, widest: int) -> tuple[Fit, str]:
    """The bands of a line, for the degree of the trend that has the highest evidence, and why the search stopped.

    The degree is doubled up to `widest` as long as the evidence grows, or most of the forcing still passes for noise:
    what has no line spectrum (a layer, a bump) is left to a trend of short length.
    """
    best, degree = pursue(line, kernel), kernel.trend_degree
    while 2 * degree <= min(widest, len(line.points) // 2):
        degree *= 2
        tried = pursue(line, replace(kernel, trend_degree=degree))
        if tried[0].log_evidence > best[0].log_evidence + 1:
            best = tried
        elif best[0].regression.noise < _MOSTLY * np.sqrt((line.values**2).mean()):
            break
    return best


def pursue(line: Line, kernel: AxisKernel) -> tuple[Fit, str]:
    """Matching pursuit: the strongest frequency of the residual becomes a band, as long as the evidence pays for it.

    A band was chosen from all frequencies up to that of Nyquist, so its log evidence must gain the logarithm of their
    number. Returns the fit and why it stopped.
    """
    candidates = _candidates(line.points)
    best = _searched(fit(line, kernel, np.zeros(1), line.noise[1]), _with_trend_length, _trend_range(kernel))
    price = np.log(len(candidates))
    while len(best.kernel.frequencies) < _MOST:
        found = _strongest(line.points, best.residual, candidates)
        wider = replace(best.kernel, frequencies=(*best.kernel.frequencies, found))
        if len(wider.blocks) > _CROWDED * len(line.points):
            return refined(best), "one more frequency would be more than the grid can tell apart"
        tried = fit(line, wider, np.append(best.weights(), 0.0), best.regression.noise)
        if tried.log_evidence < best.log_evidence + price:
            return refined(best), "one more frequency is not worth its evidence"
        best = tried
    return refined(best), f"{_MOST} frequencies were found"


def refined(found: Fit) -> Fit:
    """Frequencies, lengths and growth, each in turn to where the evidence is highest."""
    width = np.pi / (found.kernel.high - found.kernel.low)
    for number, frequency in enumerate(found.kernel.frequencies):
        found = _searched(found, partial(_with_frequency, number), (frequency - width / 2, frequency + width / 2))
    found = _searched(found, _with_trend_length, _trend_range(found.kernel))
    if found.kernel.frequencies:
        found = _searched(found, _with_band_length, _BAND)
        found = _searched(found, _with_growth, _GROWTH)
    return found


def _with_frequency(number: int, kernel: AxisKernel, value: float) -> AxisKernel:
    kept = kernel.frequencies
    return replace(kernel, frequencies=(*kept[:number], value, *kept[number + 1 :]))


def _with_trend_length(kernel: AxisKernel, value: float) -> AxisKernel:
    return replace(kernel, trend_length=float(np.exp(value)))


def _with_band_length(kernel: AxisKernel, value: float) -> AxisKernel:
    return replace(kernel, band_length=float(np.exp(value)))


def _with_growth(kernel: AxisKernel, value: float) -> AxisKernel:
    return replace(kernel, growth=float(np.exp(value)))


def _trend_range(kernel: AxisKernel) -> tuple[float, float]:
    """Logarithms of the lengths: from what the polynomials resolve to where no gap is left below the first band.

    At the longest, twice the spread of the trend's spectrum reaches the lowest candidate. Polynomials of few nodes may
    resolve no shorter one: then that is the only length.
    """
    longest = float(np.log(1 / np.pi))
    return min(float(np.log(2 / kernel.trend_degree)), longest), longest


def _searched(found: Fit, changed: Callable[[AxisKernel, float], AxisKernel], bounds: tuple[float, float]) -> Fit:
    """The best of a bounded line search, or what there was."""
    tried = [found]

    def loss(value: float) -> float:
        weights, noise = tried[0].weights(), tried[0].regression.noise
        tried.append(fit(found.line, changed(found.kernel, value), weights, noise, _SEARCH_STEPS))
        return -tried[-1].log_evidence

    minimize_scalar(loss, bounds=bounds, method="bounded", options={"maxiter": _EVALUATIONS})
    return max(tried, key=lambda one: one.log_evidence)


def _candidates(points: Floats) -> Floats:
    """Frequencies four to a period of the axis, from one period to that of Nyquist at the mean step."""
    low = 2 * np.pi / (points[-1] - points[0])
    return np.arange(low, np.pi * (len(points) - 1) / (points[-1] - points[0]), low / 4)


def _strongest(points: Floats, residual: Floats, candidates: Floats) -> float:
    """The candidate of the highest periodogram, over all columns."""
    angles = np.outer(candidates, points - points.mean())
    power = ((np.cos(angles) @ residual) ** 2 + (np.sin(angles) @ residual) ** 2).sum(axis=1)
    return float(candidates[np.argmax(power)])


_RANK = 1e-15
_CROWDED = 0.7
_MOST = 30  # bands, as in the paper
_MOSTLY = 0.5
_SEARCH_STEPS = 3
_EVALUATIONS = 8
# A band is never longer than the axis: its own width then covers what its frequency is uncertain by.
_BAND = (float(np.log(0.1)), 0.0)
_GROWTH = (float(np.log(1e-2)), float(np.log(1e2)))
