"""Linear observations of Gaussian coefficients: posterior, evidence, and the weights that raise it.

    y = A z + e,   z_j ~ N(0, w_j),   e_i ~ N(0, s_i^2)

All of it comes from one orthogonal factorisation of [A W^1/2 / s; I]: neither the kernel matrix nor its square is
formed, so that noise of 1e-12 of the signal does no harm. Weights and noise follow MacKay's fixed point (Neural
Computation 4, 1992), which raises the evidence N(y; 0, A W A' + S) and needs no step size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde.gp_hm._envelope import Floats


@dataclass(frozen=True)
class Rows:
    """Observations: first those of known noise (boundary, points), then those of the forcing.

    known, known_values, known_sd         (k, n), (k, m), (k,)
    forcing, forcing_values               (r, n), (r, m); r may be fewer than were observed, after an orthogonal map
    observed                              number of forcing values in a draw
    outside                               squared forcing that no function of the model can reach, over all draws
    draws                                 of the same model; their values may be fewer columns after an orthogonal map
    offset                                log density of known values that no function of the model can reach
    """

    known: Floats
    known_values: Floats
    known_sd: Floats
    forcing: Floats
    forcing_values: Floats
    observed: int
    outside: float
    draws: int = 1
    offset: float = 0.0

    def only(self, kept: NDArray[np.bool_]) -> Rows:
        """The same data for a model of fewer coefficients, its forcing again as few rows as coefficients."""
        matrix = np.hstack([self.forcing[:, kept], self.forcing_values])
        triangle = _triangle(matrix)
        size = int(kept.sum())
        return replace(
            self,
            known=self.known[:, kept],
            forcing=triangle[:size, :size],
            forcing_values=triangle[:size, size:],
            outside=self.outside + float((triangle[size:, size:] ** 2).sum()),
        )


@dataclass(frozen=True)
class Regression:
    """The posterior of the coefficients.

    rows     the data
    weights  (n,) prior variances
    noise    standard deviation of the forcing
    least    (n,) or a number: what evidence may not lower the weights below
    """

    rows: Rows
    weights: Floats
    noise: float
    least: Floats | float = 0.0

    @cached_property
    def _stack(self) -> Floats:
        """[A W^1/2 / s, y / s; I, 0]; rows of least noise first, so that Householder keeps the digits of the rest."""
        rows, root = self.rows, np.sqrt(self.weights)
        known = np.hstack([rows.known * root, rows.known_values]) / rows.known_sd[:, None]
        forcing = np.hstack([rows.forcing * root, rows.forcing_values]) / self.noise
        return np.vstack([known, forcing, np.eye(len(root), known.shape[1])])

    @cached_property
    def _triangle(self) -> Floats:
        return _triangle(self._stack)

    @cached_property
    def whitened(self) -> Floats:
        """Posterior mean (n, m) of z / sqrt(w)."""
        size = len(self.weights)
        return np.asarray(solve_triangular(self._triangle[:size, :size], self._triangle[:size, size:]))

    @cached_property
    def root(self) -> Floats:
        """V (n, n) with V V' the posterior covariance of z / sqrt(w)."""
        size = len(self.weights)
        return np.asarray(solve_triangular(self._triangle[:size, :size], np.eye(size)))

    @cached_property
    def gain(self) -> Floats:
        """(n, k + r) what the mean of the coefficients changes by for a change of each known and forcing value."""
        size, rows = len(self.weights), self.rows
        basis, triangle = np.linalg.qr(self._stack[:, :size])
        sd = np.concatenate([rows.known_sd, np.full(len(rows.forcing), self.noise)])
        solved = solve_triangular(triangle, basis[: len(sd)].T / sd)
        return np.asarray(np.sqrt(self.weights)[:, None] * solved)

    @cached_property
    def mean(self) -> Floats:
        """Posterior mean (n, m) of the coefficients."""
        return np.sqrt(self.weights)[:, None] * self.whitened

    @cached_property
    def log_evidence(self) -> float:
        """log N(y; 0, A W A' + S), over all draws."""
        rows, size = self.rows, len(self.weights)
        logs = 2 * np.log(rows.known_sd).sum() + 2 * rows.observed * np.log(self.noise)
        logs += 2 * np.log(np.abs(np.diag(self._triangle)[:size])).sum()
        logs += (len(rows.known) + rows.observed) * np.log(2 * np.pi)
        misfit = (self._triangle[size:, size:] ** 2).sum() + rows.outside / self.noise**2
        return float(rows.offset - (rows.draws * logs + misfit) / 2)

    def improved(self, blocks: NDArray[np.intp], bounds: tuple[float, float]) -> Regression:
        """One step of the fixed point: one weight a block, noise within bounds (equal bounds: known)."""
        rows = self.rows
        informed = rows.draws * (1 - (self.root**2).sum(axis=1))
        energy = (self.whitened**2).sum(axis=1)
        count = int(blocks.max()) + 1
        ratio = (np.bincount(blocks, energy, count) + _INERTIA) / (np.bincount(blocks, informed, count) + _INERTIA)
        scaled = rows.known * np.sqrt(self.weights) / rows.known_sd[:, None]
        spent = informed.sum() - rows.draws * float(((scaled @ self.root) ** 2).sum())
        misfit = ((rows.forcing_values - rows.forcing @ self.mean) ** 2).sum() + rows.outside
        free = max(rows.draws * rows.observed - spent, 1.0)
        noise = float(np.clip(np.sqrt(misfit / free), *bounds))
        return replace(self, weights=np.maximum(self.weights * ratio[blocks], self.least), noise=noise)

    def optimal(self, blocks: NDArray[np.intp], bounds: tuple[float, float], steps: int) -> Regression:
        """The fixed point, until the evidence gains less than .01 or `steps` are spent."""
        best = self
        for _ in range(steps):
            following = best.improved(blocks, bounds)
            if not following.log_evidence > best.log_evidence + _ENOUGH:
                return following if following.log_evidence > best.log_evidence else best
            best = following
        return best


def _triangle(matrix: Floats) -> Floats:
    """R of the factorisation QR."""
    return np.asarray(np.linalg.qr(matrix, mode="r"), dtype=np.float64)


_INERTIA = 1e-6  # a block of which the data say nothing keeps its weight
_ENOUGH = 1e-2
