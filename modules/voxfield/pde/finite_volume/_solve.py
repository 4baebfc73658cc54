"""Newton's method for the steady equation, and the trapezoidal rule (Crank-Nicolson) in time.

Linear systems that are symmetric and definite in two and three dimensions go to `EllipticSolver`, all others to a
sparse factorisation, which is kept as long as the matrix stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from voxfield.errors import InputError
from voxfield.pde.finite_volume._discretisation import Discretisation
from voxfield.pde.problem.operator import Array
from voxfield.pde.spectral._budget import Budget

MOST_ITERATIONS = 40
CONVERGED = 1e-10  # residual relative to the largest part of the equation
HALVINGS = 12  # of a Newton step that does not lower the residual
RTOL = 1e-11
MOST_WORK = 2e12  # operations of all factorisations: a quarter of an hour or so
FACTORISING = {1: (1300, 1), 2: (50, 1.5), 3: (10, 2)}  # axes -> factor and power of the number of cells


class Found(NamedTuple):
    """values; residual relative to the parts of the equation, the largest in time; linear solves, all together."""

    values: Array
    residual: float
    iterations: int


def steady(cells: Discretisation, forcing: Array, *, singular: bool) -> tuple[Found, float]:
    """Solve S(u) = forcing (n,), and the constant by which the right side had to be lowered.

    Where constants are the kernel (`singular`), the solution has zero mean, and the right side is made to sum to zero:
    what balances as integrals does so in cells up to the discretisation error.
    """
    right = forcing - cells.source()
    imbalance = float(right.mean()) if singular else 0.0
    linear = LinearSolver(cells, singular=singular)
    start = linear(cells.matrix, right - imbalance)
    return newton(cells, cells.matrix, right - imbalance, start, linear), imbalance


def evolve(cells: Discretisation, rate: float, forcing: Callable[[float], Array], start: Array, times: Array) -> Found:
    """Solve rate * u_t + S(u, t) = forcing(t) from `start` (n,) at equidistant times (m,); values (n, m).

    The trapezoidal rule: rate (u' - u) / dt + (S(u', t') + S(u, t)) / 2 = (f' + f) / 2, of second order, not damping.
    """
    history, residual, iterations = [start], 0.0, 0
    mass = 2 * rate / (times[1] - times[0])
    matrix = sparse.csr_array(cells.matrix + mass * sparse.eye_array(len(start)))
    linear = LinearSolver(cells, singular=False)
    for before, time in pairwise(times.tolist()):
        u = history[-1]
        rest = forcing(before) - cells.source(before) - cells.matrix @ u - cells.nonlinear(u, before)
        right = forcing(time) - cells.source(time) + rest + mass * u
        guess = linear(matrix, right) if cells.operator.linear else u
        found = newton(cells, matrix, right, guess, linear, time)
        history.append(found.values)
        residual, iterations = max(residual, found.residual), iterations + found.iterations
    return Found(np.stack(history, axis=-1), residual, iterations)


def newton(
    cells: Discretisation, matrix: sparse.csr_array, right: Array, start: Array, linear: LinearSolver, *time: float
) -> Found:
    """Solve matrix u + nonlinear(u) = right from a start, which is the solution where nothing is nonlinear.

    Raises InputError where Newton's method does not converge.
    """
    u = start
    size = np.linalg.norm(right) + np.linalg.norm(matrix @ u) or 1.0
    residual = matrix @ u + cells.nonlinear(u, *time) - right
    for iteration in range(MOST_ITERATIONS):
        relative = float(np.linalg.norm(residual) / size)
        if cells.operator.linear or relative <= CONVERGED:
            return Found(u, relative, iteration + 1)
        step = linear(sparse.csr_array(matrix + cells.slope(u, *time)), residual)
        u, residual = _descend(lambda v: matrix @ v + cells.nonlinear(v, *time) - right, u, step, residual)
    raise InputError(
        f"Newton's method leaves a relative residual of {relative:.2g} after {MOST_ITERATIONS} steps; the problem may "
        "have no solution, or need more points"
    )


def _descend(residual: Callable[[Array], Array], u: Array, step: Array, before: Array) -> tuple[Array, Array]:
    """The longest of the steps 1, 1/2, 1/4 ... that lowers the residual."""
    for halving in range(HALVINGS):
        tried = u - step / 2**halving
        after = residual(tried)
        if np.linalg.norm(after) < np.linalg.norm(before):
            break
    return tried, after


class LinearSolver:
    """Solves systems with one sparsity; the last factorisation is used again for the same matrix.

    singular  the constants are the kernel: right sides of zero sum, solutions of zero mean

    Raises OutOfWork where the factorisations are too many or too large.
    """

    def __init__(self, cells: Discretisation, *, singular: bool) -> None:
        self._shape = cells.shape
        self._singular = singular
        self._budget = Budget(MOST_WORK, "give fewer points, or a shorter time")
        walled = all(axis.ends is not None for axis in cells.axes)  # `EllipticSolver` couples neighbours only
        self._elliptic = len(cells.shape) > 1 and walled and _definite(cells)
        self._matrix: sparse.csr_array | None = None
        self._solve: Callable[[Array], Array] = np.copy

    def __call__(self, matrix: sparse.csr_array, right: Array) -> Array:
        """The solution of matrix u = right."""
        if matrix is not self._matrix:
            self._matrix, self._solve = matrix, self._prepared(matrix)
        return self._solve(right)

    def _prepared(self, matrix: sparse.csr_array) -> Callable[[Array], Array]:
        if self._elliptic:
            from voxfield.pde._elliptic import EllipticSolver

            sign = np.sign(matrix.diagonal().sum())
            places = np.argwhere(np.ones(self._shape)) @ np.eye(len(self._shape), 3, dtype=int)
            solver = EllipticSolver(sparse.csr_array(sign * matrix), places, rtol=RTOL)
            return lambda right: solver.solve(sign * right[:, None]).require(RTOL).values[:, 0]
        factor, power = FACTORISING[len(self._shape)]
        cells = float(np.prod(self._shape))
        self._budget.spend(factor * cells**power, f"factorisations for {' x '.join(map(str, self._shape))} cells")
        if not self._singular:
            return lambda right, factor=splu(sparse.csc_array(matrix)): np.asarray(factor.solve(right))  # type: ignore[misc]
        ones = sparse.csr_array(np.ones((1, len(matrix.diagonal()))))
        bordered = sparse.block_array([[matrix, ones.T], [ones, None]], format="csc")
        direct = splu(bordered)
        return lambda right: np.asarray(direct.solve(np.append(right, 0.0))[:-1])


def _definite(cells: Discretisation) -> bool:
    """Whether all systems are symmetric and of one sign: second derivatives of one sign, u itself of the other."""
    operator = cells.operator
    second = [complex(t.coefficient).real for t in operator.terms if max(t.order) == 2 and t.coefficient]
    second += [1.0] if operator.conductivity is not None else []
    own = sum(complex(t.coefficient).real for t in operator.terms if not any(t.order))
    first = any(sum(term.order) == 1 and term.coefficient for term in operator.terms)
    return operator.linear and not first and len(set(np.sign(second))) == 1 and own * second[0] <= 0
