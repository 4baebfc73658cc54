"""A guess as the start of an iterative solver, so that what is learnt saves work and can not do harm.

Conjugate gradients minimise the energy x^T A x / 2 - b^T x, and so does the factor that the guess is multiplied by
first, (b, g) / (g, A g): the start is never worse than zero in the norm that counts. Errors are bounded without the
solution: for A >= m > 0, |x - A^-1 b| <= |b - A x| / m, with m from the smallest conductivity and the eigenvalues of
the Laplacian on the same points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfield.pde.voxels._solver import NetworkSolver

if TYPE_CHECKING:
    from voxfield.pde.operators._darcy import DarcyGrid
    from voxfield.pde.problem.operator import Array


@dataclass(frozen=True)
class Certified:
    """The solution of the discrete equations from a guess.

    values           like the grid
    iterations       from the guess
    from_zero        iterations from zero
    residual         |b - A x| / |b| of the solution
    bound            on |x - A^-1 b|, root mean square over the unknowns
    guess_residual   |b - A g| / |b| of the guess itself
    guess_bound      on its error, as above
    guess_error      |g - x|, root mean square
    """

    values: Array
    iterations: int
    from_zero: int
    residual: float
    bound: float
    guess_residual: float
    guess_bound: float
    guess_error: float


def certify(grid: DarcyGrid, conductivity: Array, forcing: Array, guess: Array, *, rtol: float = 1e-8) -> Certified:
    """Solve -div(a grad u) = f from a guess; all arrays like the grid.

    rtol  relative residual at which the solver stops, rows scaled by the root of their diagonal
    """
    network = grid.network(conductivity)
    solver, matrix = NetworkSolver(network, rtol=rtol), network.matrix
    b, g = forcing[grid.unknown], guess[grid.unknown]
    energy = g @ (matrix @ g)
    start = g * (b @ g / energy) if energy > 0 else 0 * g
    found, cold = solver.solve(b[:, None], start=start[:, None]).require(rtol), solver.solve(b[:, None])
    x = found.values[:, 0]
    coercive = conductivity.min() * grid.smallest_eigenvalue * np.sqrt(len(b))
    after, before = (float(np.linalg.norm(b - matrix @ one)) for one in (x, g))
    size = float(np.linalg.norm(b)) or 1.0
    return Certified(
        grid.dense(x), found.iterations, cold.iterations, after / size, after / coercive,
        before / size, before / coercive, float(np.sqrt(np.mean(np.square(g - x)))),
    )  # fmt: skip
