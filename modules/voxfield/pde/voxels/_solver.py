"""Networks of voxels solved for many right sides: conjugate gradients on half of the unknowns, by multigrid.

The set-up, that is all grids, is made once. The preconditioner is not linear (its coarse grids choose their step
lengths), hence the step of Polak and Ribiere, as in Notay, SIAM J. Sci. Comput. 22, 2000, equation 3.1 with m = 1.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from voxfield.errors import InputError
from voxfield.pde.voxels._multigrid import Multigrid, dots, ratio

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints
    from voxfield.pde.voxels._network import Network

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


class NetworkSolver:
    """Solver of A x = f for one network and any number of right sides.

    A component without any leak determines x up to a constant: there f must sum to zero, and x has zero mean.

    rtol  relative residual at which a column counts as solved
    """

    def __init__(self, network: Network, *, rtol: float = 1e-8, max_iterations: int = 1000) -> None:
        self.network = network
        self.rtol = rtol
        self.max_iterations = max_iterations
        coloured, self._order = network.reds_first()
        self._grids = Multigrid(coloured)
        self._scale = ratio(np.ones(network.size), self._grids.levels[0].root)[:, None]

    @cached_property
    def components(self) -> Ints:
        """Connected component of each node (n,)."""
        parts = np.empty(self.network.size, dtype=np.intp)
        parts[self._order] = self._grids.components
        return parts

    @cached_property
    def kernel(self) -> sparse.csr_array:
        """Orthonormal columns (n, m) mapped to zero: a constant for every component without leak."""
        free = np.bincount(self.components, weights=self.network.leak) == 0
        rows = np.flatnonzero(free[self.components])
        sizes = np.bincount(self.components)[self.components[rows]]
        columns = (np.cumsum(free) - 1)[self.components[rows]]
        return sparse.csr_array((1 / np.sqrt(sizes), (rows, columns)), shape=(self.network.size, int(free.sum())))

    def solve(self, rhs: Floats, *, start: Floats | None = None) -> Solution:
        """Solve for the columns of rhs (n, k) from a first guess of the same shape, or from 0.

        Raises InputError where a column has no solution.
        """
        level = self._grids.levels[0]
        f = self._scale * self._compatible(rhs)[self._order]
        norms = np.linalg.norm(f, axis=0)
        first = np.zeros((level.reds, rhs.shape[1]))
        if start is not None:
            first = start[self._order][: level.reds] * level.root[: level.reds, None]
        red, iterations = self._iterate(level.eliminated(f), first, self.rtol * norms)
        x = level.restored(f, red)
        residual = np.linalg.norm(level.residual(f, x), axis=0) / np.where(norms > 0, norms, 1.0)
        values = np.empty_like(x)
        values[self._order] = self._scale * x
        return Solution(values - self.kernel @ (self.kernel.T @ values), residual, iterations)

    def _compatible(self, rhs: Floats) -> Floats:
        excess = self.kernel.T @ rhs
        worst = np.abs(excess).max(initial=0.0)
        if worst > INCOMPATIBLE * np.linalg.norm(rhs, axis=0).max(initial=0.0):
            raise InputError(
                f"the right side sums to {worst:.3g} over a component without a Dirichlet value; expected 0; "
                "balance the sources with the fluxes through the boundary"
            )
        return np.asarray(rhs - self.kernel @ excess, dtype=float)

    def _iterate(self, g: Floats, x: Floats, aims: Floats) -> tuple[Floats, int]:
        """Flexible conjugate gradients for S x = g (r, k), every column with its own step lengths."""
        level = self._grids.levels[0]
        r = g - x + level.averaged(x)
        p, rz = np.zeros_like(r), np.zeros(len(aims))
        before = r
        for iteration in range(self.max_iterations):
            going = np.linalg.norm(r, axis=0) > aims
            if not going.any():
                return x, iteration
            z = self._grids.precondition(r)
            turn = ratio(dots(z, r - before), rz)
            rz = dots(z, r)
            p = z + turn * p
            q = p - level.averaged(p)
            step = going * ratio(rz, dots(p, q))  # a finished column must rest: beyond round-off it would diverge
            x = x + step * p
            before, r = r, r - step * q
        return x, self.max_iterations
