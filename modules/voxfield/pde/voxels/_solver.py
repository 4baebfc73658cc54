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
from voxfield.pde.voxels._gathered import GatheredGrid

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints
    from voxfield.pde.voxels._grid import Array, FinestGrid
    from voxfield.pde.voxels._network import Network

INCOMPATIBLE = 1e-8
SLACK = 1000  # residual over its tolerance that round-off may leave on large domains or under great contrast


class Solution(NamedTuple):
    """What a solve gives.

    values      (n, k)  one column a right side
    residual    (k,)    |f - A x| / |f|, computed anew at the end, every row over the root of its diagonal entry
    iterations          of the slowest column
    """

    values: Floats
    residual: Floats
    iterations: int

    def require(self, rtol: float) -> Solution:
        """Itself. Raises InputError where a column is far from the tolerance that it was to be solved to."""
        worst = float(self.residual.max(initial=0.0))
        if not worst <= SLACK * rtol:
            raise InputError(
                f"conjugate gradients left a relative residual of {worst:.2g} after {self.iterations} iterations; "
                f"{rtol:.0e} is wanted: the coefficients, or the sizes of the voxels along the axes, may differ by too "
                "many orders of magnitude; let them differ less"
            )
        return self


class NetworkSolver:
    """Solver of A x = f for one network and any number of right sides.

    A component without any leak determines x up to a constant: there f must sum to zero, and x has zero mean.

    rtol    relative residual at which a column counts as solved
    device  of torch, for grids on the box around the voxels; None for grids of the voxels alone, on the CPU
    """

    def __init__(
        self, network: Network, *, rtol: float = 1e-8, max_iterations: int = 1000, device: str | None = None
    ) -> None:
        self.network = network
        self.rtol = rtol
        self.max_iterations = max_iterations
        self._grid = _finest(network, device)

    @property
    def components(self) -> Ints:
        """Number of the connected component of each node (n,)."""
        return self._grid.components

    @cached_property
    def kernel(self) -> sparse.csr_array:
        """Orthonormal columns (n, m) mapped to zero: a constant for every component without leak."""
        parts = self.components
        free = self.network.free(parts)
        rows = np.flatnonzero(free[parts])
        sizes = np.bincount(parts)[parts[rows]]
        columns = (np.cumsum(free) - 1)[parts[rows]]
        return sparse.csr_array((1 / np.sqrt(sizes), (rows, columns)), shape=(self.network.size, int(free.sum())))

    def solve(self, rhs: Floats, *, start: Floats | None = None) -> Solution:
        """Solve for the columns of rhs (n, k) from a first guess of the same shape, or from 0.

        Raises InputError where a column has no solution.
        """
        grid = self._grid
        f = grid.packed(self._compatible(rhs))
        first = 0 * f if start is None else grid.packed(self.network.diagonal[:, None] * start)
        norms = grid.norms(f)
        red, iterations = self._iterate(grid.eliminated(f), grid.red(first), self.rtol * norms)
        x = grid.restored(f, red)
        residual = grid.ratio(grid.norms(grid.residual(f, x)), norms)
        values = grid.unpacked(x)
        return Solution(values - self.kernel @ (self.kernel.T @ values), _plain(residual), iterations)

    def _compatible(self, rhs: Floats) -> Floats:
        excess = self.kernel.T @ rhs
        worst = np.abs(excess).max(initial=0.0)
        if worst > INCOMPATIBLE * np.linalg.norm(rhs, axis=0).max(initial=0.0):
            raise InputError(
                f"the right side sums to {worst:.3g} over a component without a Dirichlet value; expected 0; "
                "balance the sources with the fluxes through the boundary"
            )
        return np.asarray(rhs - self.kernel @ excess, dtype=float)

    def _iterate(self, g: Array, x: Array, aims: Array) -> tuple[Array, int]:
        """Flexible conjugate gradients for S x = g, red unknowns, every column with its own step lengths."""
        grid = self._grid
        r = g - x + grid.averaged(x)
        p, before, rz = 0 * r, r, 0 * aims
        for iteration in range(self.max_iterations):
            going = grid.norms(r) > aims
            if not going.any():
                return x, iteration
            z = grid.cycle(r)
            turn = grid.ratio(grid.dots(z, r - before), rz)
            rz = grid.dots(z, r)
            p = z + turn * p
            q = p - grid.averaged(p)
            step = going * grid.ratio(rz, grid.dots(p, q))  # a finished column must rest, or round-off drives it away
            x = x + step * p
            before, r = r, r - step * q
        return x, self.max_iterations


def _finest(network: Network, device: str | None) -> FinestGrid:
    if device is None:
        return GatheredGrid(network)
    from voxfield.pde.voxels._boxed import FinestBoxedGrid  # torch, where it is asked for

    return FinestBoxedGrid(network, device)


def _plain(numbers: Array) -> Floats:
    """Numbers (k,) of the columns as numpy has them."""
    return np.asarray(numbers if isinstance(numbers, np.ndarray) else numbers.cpu().numpy()).ravel()
