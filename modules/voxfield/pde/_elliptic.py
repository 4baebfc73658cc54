"""Elliptic systems on voxels: conjugate gradients with a coarse space, set up once for many right sides.

The systems are A x = f with A symmetric positive semidefinite and, on every connected component of its
graph, either definite (a Dirichlet value somewhere) or with the constants as kernel (Neumann everywhere).
In the second case f must sum to zero over the component, and x is the solution of zero mean.

The preconditioner is additive: Jacobi plus an exact solve on the space of functions that are constant on
face-connected blocks of voxels (the coarse space of Nicolaides, SIAM J. Numer. Anal. 24, 1987). In a vessel
-- long, thin, insulated -- the slow modes run along the axis and the blocks carry them, so that iterations
stay near 100 where those of Jacobi double with every refinement. Above `AMG_SIZE` unknowns pyamg's smoothed
aggregation takes over. All right sides share the setup and one sparse product per iteration.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg, sparse

from voxfield.errors import InputError
from voxfield.pde._domain import components

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxfield.pde._domain import Floats, Ints

AMG_SIZE = 1_000_000
COARSE_SIZE = 600
INCOMPATIBLE = 1e-8


class Solution(NamedTuple):
    """What a solve gives.

    values      (n, k)  one column a right side
    residual    (k,)    |f - A x| / |f|, computed anew at the end, every row over the root of its diagonal entry
    iterations          of the slowest column
    """

    values: Floats
    residual: Floats
    iterations: int


class EllipticSolver:
    """Solver of A x = f for one matrix and any number of right sides.

    matrix  (n, n)  symmetric, rows in the order of the cells
    cells   (n, 3)  voxel index of each unknown
    rtol            relative residual at which a column counts as solved
    """

    def __init__(
        self, matrix: sparse.csr_array, cells: Ints, *, rtol: float = 1e-8, max_iterations: int = 5000
    ) -> None:
        self.matrix = matrix
        self.cells = cells
        self.rtol = rtol
        self.max_iterations = max_iterations

    @cached_property
    def components(self) -> Ints:
        """Component of each unknown (n,)."""
        return components(self.matrix)

    @cached_property
    def kernel(self) -> sparse.csr_array:
        """Orthonormal columns (n, m) mapped to zero: a constant per component without a Dirichlet value."""
        count = int(self.components.max(initial=-1)) + 1
        sums = np.zeros(count)
        np.maximum.at(sums, self.components, np.abs(self.matrix.sum(axis=1)))
        free = sums <= _ROUND_OFF * self.matrix.diagonal().max(initial=0.0)
        rows = np.flatnonzero(free[self.components])
        sizes = np.bincount(self.components, minlength=count)[self.components[rows]]
        columns = (np.cumsum(free) - 1)[self.components[rows]]
        return sparse.csr_array((1 / np.sqrt(sizes), (rows, columns)), shape=(len(self.cells), int(free.sum())))

    def solve(self, rhs: Floats, *, start: Floats | None = None) -> Solution:
        """Solve for the columns of rhs (n, k) from a first guess of the same shape, or from 0.

        Raises InputError where a column has no solution.
        """
        if not len(self.cells):
            return Solution(np.zeros_like(rhs, dtype=float), np.zeros(rhs.shape[1]), 0)
        rhs = self._compatible(rhs)
        norms = self._norms(rhs)
        first = np.zeros_like(rhs) if start is None else np.array(start, dtype=float)
        values, iterations = self._iterate(rhs, first, self.rtol * norms)
        values -= self.kernel @ (self.kernel.T @ values)
        residual = self._norms(rhs - self.matrix @ values) / np.where(norms > 0, norms, 1.0)
        return Solution(values, residual, iterations)

    def _compatible(self, rhs: Floats) -> Floats:
        excess = self.kernel.T @ rhs
        worst = np.abs(excess).max(initial=0.0)
        if worst > INCOMPATIBLE * np.linalg.norm(rhs, axis=0).max(initial=0.0):
            raise InputError(
                f"the right side sums to {worst:.3g} over a component without a Dirichlet value; expected 0; "
                "balance the sources with the fluxes through the boundary"
            )
        return np.asarray(rhs - self.kernel @ excess, dtype=float)

    def _iterate(self, rhs: Floats, x: Floats, aims: Floats) -> tuple[Floats, int]:
        """Conjugate gradients from x, every column with its own step lengths."""
        r = rhs - self.matrix @ x
        z = self.precondition(r)
        p = z.copy()
        rz = _dots(r, z)
        for iteration in range(self.max_iterations):
            going = self._norms(r) > aims
            if not going.any():
                return x, iteration
            q = self.matrix @ p
            step = going * _ratio(rz, _dots(p, q))  # a finished column must rest: beyond round-off it would diverge
            x += step * p
            r -= step * q
            z = self.precondition(r)
            rz, old = _dots(r, z), rz
            p = z + _ratio(rz, old) * p
        return x, self.max_iterations

    def _norms(self, columns: Floats) -> Floats:
        """Norms (k,) in which a row of small coefficients counts like any other."""
        return np.asarray(np.sqrt(np.einsum("nk,nk,n->k", columns, columns, self._inverse_diagonal)))

    @cached_property
    def _inverse_diagonal(self) -> Floats:
        diagonal = self.matrix.diagonal()
        return np.asarray(1 / np.where(diagonal > 0, diagonal, 1.0))

    @cached_property
    def precondition(self) -> Callable[[Floats], Floats]:
        """Approximate inverse of A, applied to columns (n, k)."""
        if len(self.cells) > AMG_SIZE:
            return self._amg()
        inverse = self._inverse_diagonal[:, None]
        blocks = self._blocks()
        restrict = sparse.csr_array(blocks.T)
        coarse = self._coarse_inverse(blocks)
        return lambda r: inverse * r + blocks @ (coarse @ (restrict @ r))

    def _amg(self) -> Callable[[Floats], Floats]:
        import pyamg

        levels = pyamg.smoothed_aggregation_solver(sparse.csr_matrix(self.matrix), max_coarse=300)
        cycle = levels.aspreconditioner()
        return lambda r: np.stack([cycle @ column for column in r.T], axis=1)

    def _blocks(self) -> sparse.csr_array:
        """Membership (n, m) in the smallest connected blocks of which there are at most COARSE_SIZE."""
        low = self.cells - self.cells.min(axis=0)
        pairs = sparse.coo_array(self.matrix)
        side = max(4, int((len(low) / COARSE_SIZE) ** (1 / 3)))
        while True:
            box = np.ravel_multi_index(tuple((low // side).T), tuple(low.max(axis=0) // side + 1))
            same = box[pairs.row] == box[pairs.col]
            graph = sparse.csr_array((pairs.data[same], (pairs.row[same], pairs.col[same])), shape=pairs.shape)
            block = components(graph)
            count = int(block.max()) + 1
            if count <= COARSE_SIZE or side > low.max():
                return sparse.csr_array((np.ones(len(low)), (np.arange(len(low)), block)), shape=(len(low), count))
            side = side * 5 // 4 + 1

    def _coarse_inverse(self, blocks: sparse.csr_array) -> Floats:
        """Inverse (m, m) of A on the block-wise constant functions, made definite along the kernel."""
        coarse = (blocks.T @ self.matrix @ blocks).toarray()
        kernel = (blocks.T @ self.kernel).toarray()
        # Not from the coarse diagonal: a block that is a whole component has a row of round-off there.
        scale = float(self.matrix.diagonal().mean()) or 1.0
        coarse += scale * len(coarse) / len(self.cells) * (kernel @ kernel.T)
        return np.asarray(linalg.inv(coarse + _ROUND_OFF * scale * np.eye(len(coarse))))


_ROUND_OFF = 1e-10


def _dots(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("nk,nk->k", a, b))


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotient, 0 where a column is already exact."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
