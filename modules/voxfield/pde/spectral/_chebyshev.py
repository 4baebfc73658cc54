"""A bounded axis by Chebyshev collocation.

Points x_j = -cos(pi j / n) on [-1, 1], mapped to the interval: polynomial interpolation in them converges as fast as
the function is smooth (Trefethen, Spectral Methods in MATLAB, 2000, ch. 5-6). Three things keep round-off at bay: the
differences x_i - x_j come from products of sines, not from subtraction; derivatives of order m come from those of
order m - 1 by the recursion of Welfert (SIAM J. Numer. Anal. 34, 1997) instead of by powers of a matrix; and each
diagonal is minus the sum of its row (Baltensperger & Trummer, SIAM J. Sci. Comput. 24, 2003), so that constants
differentiate to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array


@dataclass(frozen=True)
class Chebyshev:
    """`count` Chebyshev points on [low, high], both ends among them, ascending."""

    low: float
    high: float
    count: int

    @cached_property
    def points(self) -> Array:
        """Nodes (count,), in the unit of the interval."""
        unit = np.sin(np.pi * (2 * np.arange(self.count) - self._degree) / (2 * self._degree))
        nodes = (self.low + self.high) / 2 + self._half * unit
        nodes[0], nodes[-1] = self.low, self.high
        return np.asarray(nodes)

    def matrix(self, order: int) -> Array:
        """Matrix (count, count) from values at the nodes to those of the derivative of that order."""
        return differentiation(self._differences, self.barycentric, order)

    def spectrum(self, values: Array, axis: int) -> Array:
        """Largest absolute Chebyshev coefficient of each degree (count,), over all lines along `axis`."""
        coefficients = fft.dct(values, type=1, axis=axis) / self._degree
        return np.asarray(np.abs(np.moveaxis(coefficients, axis, 0)).reshape(self.count, -1).max(axis=1))

    def interpolation(self, at: Array) -> Array:
        """Matrix (len(at), count) from values at the nodes to those of the interpolant at the points `at` (m,)."""
        check_inside(at, self.low, self.high)
        return barycentric_matrix(self.points, self.barycentric, at)

    @cached_property
    def weights(self) -> Array:
        """Clenshaw-Curtis weights (count,): their product with values is the integral over the interval."""
        degrees = np.arange(self.count)
        moments = np.where(degrees % 2 == 0, 2 / (1.0 - np.where(degrees == 1, 0, degrees) ** 2), 0.0)
        weights = fft.dct(moments, type=1) / self._degree
        weights[[0, -1]] /= 2
        return np.asarray(self._half * weights)

    @cached_property
    def barycentric(self) -> Array:
        """Barycentric weights (count,), up to a common factor."""
        signs = (-1.0) ** np.arange(self.count)
        signs[[0, -1]] /= 2
        return signs

    @cached_property
    def _differences(self) -> Array:
        i, j = np.ogrid[: self.count, : self.count]
        angle = np.pi / (2 * self._degree)
        return np.asarray(2 * self._half * np.sin((i + j) * angle) * np.sin((i - j) * angle))

    @property
    def _degree(self) -> int:
        return self.count - 1

    @property
    def _half(self) -> float:
        return (self.high - self.low) / 2


def differentiation(differences: Array, weights: Array, order: int) -> Array:
    """Differentiation matrix (n, n) of a barycentric interpolant.

    differences  (n, n)  x_i - x_j
    weights      (n,)    barycentric weights
    """
    gaps = differences.copy()
    np.fill_diagonal(gaps, 1.0)
    inverse = 1 / gaps
    np.fill_diagonal(inverse, 0.0)
    ratio = weights / weights[:, None]
    matrix = np.eye(len(weights))
    for m in range(1, order + 1):
        matrix = m * inverse * (ratio * np.diagonal(matrix)[:, None] - matrix)
        np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


def barycentric_matrix(nodes: Array, weights: Array, at: Array) -> Array:
    """Second barycentric formula (Berrut & Trefethen, SIAM Rev. 46, 2004, eq. 4.2): a matrix (len(at), len(nodes))."""
    gaps = np.asarray(at, dtype=float)[:, None] - nodes
    hits = gaps == 0
    ratio = weights / np.where(hits, 1.0, gaps)
    matrix = ratio / ratio.sum(axis=1, keepdims=True)
    matrix[hits.any(axis=1)] = hits[hits.any(axis=1)]
    return np.asarray(matrix)


def check_inside(at: Array, low: float, high: float) -> None:
    """Refuse points beyond the ends, where a polynomial of high degree is worth nothing."""
    slack = 1e-12 * (high - low)
    if np.min(at) < low - slack or np.max(at) > high + slack:
        raise InputError(
            f"points from {np.min(at):.6g} to {np.max(at):.6g} reach out of the interval [{low:.6g}, {high:.6g}]; "
            "evaluate inside it"
        )
