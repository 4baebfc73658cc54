"""Implicit Runge-Kutta of Radau IIA on a bounded axis: stiff, with conditions at the ends that may change in time.

Collocation at s points in time, the last of which is the end of the step: order 2 s - 1, L-stable (Hairer & Wanner,
Solving ODEs II, 1996, sec. IV.5; the matrix is built from the nodes, for any s). The s coupled systems of a Newton step
are decoupled by the eigenvectors of A^-1 (sec. IV.8), one factorisation a real eigenvalue or pair, kept over the step.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import linalg
from scipy.special import roots_jacobi

from voxfield.pde.problem.operator import Array
from voxfield.pde.stepping._line import Line

NEWTON_STEPS = 20
SETTLED = 1e-13  # of Newton's steps, relative to the values


class Radau:
    """The method of s stages."""

    def __init__(self, stages: int) -> None:
        self.order = 2 * stages - 1
        self.nodes = np.append((roots_jacobi(stages - 1, 1, 0)[0] + 1) / 2, 1.0)
        powers = np.arange(stages)
        integrals = self.nodes[:, None] ** (powers + 1) / (powers + 1)
        self.inverse = linalg.inv(integrals @ linalg.inv(self.nodes[:, None] ** powers))

    @cached_property
    def _modes(self) -> tuple[Array, Array, Array]:
        """Eigenvalues of A^-1, one of each complex pair, with right (weighted for the pair) and left vectors."""
        eigenvalues, vectors = linalg.eig(self.inverse)
        kept = eigenvalues.imag >= -1e-12
        weight = np.where(np.abs(eigenvalues[kept].imag) > 1e-12, 2.0, 1.0)
        return eigenvalues[kept], vectors[:, kept] * weight, linalg.inv(vectors)[kept]

    def step(self, line: Line, time: float, inner: Array, width: float) -> Array:
        """Inner values after one step; NaN where Newton's iteration does not settle."""
        eigenvalues, right, left = self._modes
        identity, jacobian = np.eye(len(inner)), line.jacobian(time, inner)
        factors = [linalg.lu_factor(e / width * identity - jacobian) for e in eigenvalues]
        change = np.zeros((len(self.nodes), len(inner)))
        for _ in range(NEWTON_STEPS):
            rates = np.stack([line.rate(time + c * width, inner + z) for c, z in zip(self.nodes, change, strict=True)])
            if not np.isfinite(rates).all():
                break
            defects = left @ (rates - self.inverse @ change / width)
            modes = [linalg.lu_solve(factor, defect) for factor, defect in zip(factors, defects, strict=True)]
            update = (right @ np.stack(modes)).real
            change += update
            size = np.abs(update).max() / max(np.abs(inner).max(), np.abs(change).max())
            if size <= SETTLED:
                return np.asarray(inner + change[-1])
        return np.full_like(inner, np.nan)
