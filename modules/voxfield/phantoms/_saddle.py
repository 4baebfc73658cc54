"""Krylov solution of one linearised step: momentum and mass together.

    [ J  -B^T ] [du]   [r_u]
    [ B    0  ] [dp] = [r_p]

Flexible GMRES (Saad, SIAM J. Sci. Comput. 14, 1993) with a block-triangular preconditioner: Gauss-Seidel sweeps
along and against the flow for the momentum block, and for the Schur complement the scaled least-squares
commutator of Elman et al. (SIAM J. Sci. Comput. 27, 2006, eq. 4.4)

    S^-1 = (B W B^T)^-1 (B W F W B^T) (B W B^T)^-1,   W = diag(F)^-1,

each inverse being one V-cycle of algebraic multigrid. F is the upwinded momentum matrix, so that sweeps
converge although J is central.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyamg
from pyamg import amg_core
from scipy import sparse

from voxfield.phantoms._lattice import Real

MASS_WEIGHT = 10.0
"""Rows of mass over rows of momentum in the norm that GMRES reduces: convection needs balanced mass."""


def solve_step(
    jacobian: sparse.csr_matrix,
    upwind: sparse.csr_matrix,
    divergence: sparse.csr_matrix,
    force: Real,
    mass: Real,
    *,
    rtol: float,
    max_iterations: int,
) -> tuple[Real, Real, int]:
    """Velocity and pressure increments, and the iterations that were needed.

    jacobian, upwind  (n, n)    divergence (m, n)    force (n,)    mass (m,)
    """
    n = force.size
    transpose = divergence.T.tocsr()
    diagonal = upwind.diagonal()
    scale = 1.0 / np.maximum(diagonal, 1e-3 * np.median(diagonal))
    poisson = PressureSolver(divergence, scale)
    indptr, indices, data = upwind.indptr, upwind.indices, upwind.data

    def smooth(right: Real, start: Real, sweeps: int) -> Real:
        for _ in range(sweeps):
            amg_core.gauss_seidel(indptr, indices, data, start, right, 0, n, 1)
            amg_core.gauss_seidel(indptr, indices, data, start, right, n - 1, -1, -1)
        return start

    def precondition(vector: Real) -> Real:
        force_part, mass_part = np.ascontiguousarray(vector[:n]), vector[n:] / MASS_WEIGHT
        velocity = smooth(force_part, np.zeros(n), 1)
        inner = scale * (transpose @ poisson.cycle(mass_part - divergence @ velocity))
        pressure = poisson.cycle(divergence @ (scale * (upwind @ inner)))
        return np.concatenate([smooth(force_part + transpose @ pressure, velocity, 2), pressure])

    def apply(vector: Real) -> Real:
        velocity, pressure = vector[:n], vector[n:]
        return np.concatenate([jacobian @ velocity - transpose @ pressure, MASS_WEIGHT * (divergence @ velocity)])

    right = np.concatenate([force, MASS_WEIGHT * mass])
    solution, iterations = flexible_gmres(apply, precondition, right, rtol=rtol, max_iterations=max_iterations)
    return solution[:n], solution[n:], iterations


class PressureSolver:
    """The singular pressure matrix B W B^T and its multigrid hierarchy."""

    def __init__(self, divergence: sparse.csr_matrix, scale: Real) -> None:
        self.matrix = (divergence @ sparse.diags(scale) @ divergence.T).tocsr()
        self._hierarchy = pyamg.ruge_stuben_solver(self.matrix, max_coarse=200)

    def cycle(self, right: Real) -> Real:
        """One V-cycle; sums of both sides are zero."""
        found = self._hierarchy.solve(right - right.mean(), x0=np.zeros_like(right), maxiter=1, tol=1e-30)
        return np.asarray(found - found.mean())

    def solve(self, right: Real, rtol: float = 1e-13, max_iterations: int = 60) -> Real:
        """Conjugate gradients preconditioned by V-cycles."""
        right = right - right.mean()
        x, r = np.zeros_like(right), right.copy()
        z = self.cycle(r)
        p, rho, goal = z, r @ z, rtol * np.linalg.norm(right)
        for _ in range(max_iterations):
            if np.linalg.norm(r) <= goal:
                break
            q = self.matrix @ p
            step = rho / (p @ q)
            x, r = x + step * p, r - step * q
            z = self.cycle(r)
            rho, old = r @ z, rho
            p = z + (rho / old) * p
        return np.asarray(x)


def flexible_gmres(
    apply: Callable[[Real], Real],
    precondition: Callable[[Real], Real],
    right: Real,
    *,
    rtol: float,
    max_iterations: int,
) -> tuple[Real, int]:
    """Solution from a zero start, and the number of iterations."""
    beta = float(np.linalg.norm(right))
    if beta == 0.0:
        return np.zeros_like(right), 0
    basis = np.empty((max_iterations + 1, right.size))
    ahead = np.empty((max_iterations, right.size))
    upper = np.zeros((max_iterations + 1, max_iterations))
    basis[0] = right / beta
    found = np.zeros(0)
    used = 0
    for k in range(max_iterations):
        used = k + 1
        ahead[k] = precondition(basis[k])
        vector = apply(ahead[k])
        # One pass of classical Gram-Schmidt is orthogonal enough for the digits that are asked of it.
        upper[:used, k] = basis[:used] @ vector
        vector -= upper[:used, k] @ basis[:used]
        upper[used, k] = np.linalg.norm(vector)
        basis[used] = vector / max(upper[used, k], 1e-300)
        hessenberg, target = upper[: used + 1, :used], np.append(beta, np.zeros(used))
        found = np.linalg.lstsq(hessenberg, target, rcond=None)[0]
        rest = target - hessenberg @ found
        if np.linalg.norm(rest) <= rtol * beta:
            break
    return np.asarray(found @ ahead[:used]), used
