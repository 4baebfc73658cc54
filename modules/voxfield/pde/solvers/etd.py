"""`etd`: exponential time differencing on periodic boxes; of complex unknowns, splitting.

It chooses its steps by itself, from two step widths, so that the second grid of the error estimate is one of space;
what the steps leave is the error that this grid does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxfield.context import Context
from voxfield.pde.problem._domain import VoxelRegion
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem._waves import require_carried
from voxfield.pde.problem.operator import Array
from voxfield.pde.solvers._protocol import TAKES_NO_OBSERVATIONS, Solved
from voxfield.pde.spectral import Interval
from voxfield.pde.stepping import evolve_periodic

ANY = 1 << 30  # points in time are no grid here


@dataclass(frozen=True)
class Etd:
    """Solver of the protocol. The last number of `points`, that of time, is its own choice whatever is given."""

    order: float | None = None

    def fits(self, problem: PosedProblem) -> str:
        """Why it can not solve this problem; "" where it can."""
        if problem.observations is not None:
            return TAKES_NO_OBSERVATIONS
        if isinstance(problem.domain, VoxelRegion) or not problem.box.timed:
            return "it steps in time, on boxes"
        if not all(axis.periodic for axis in problem.box.space):
            return "an axis has ends"
        if problem.operator.conductivity is not None:
            return "a coefficient varies in space"
        if problem.operator.complex_valued and not problem.forcing.zero:
            return "a complex unknown takes no forcing"
        return ""

    def second(self, points: Sequence[int]) -> tuple[int, ...]:
        """A quarter more in space, even."""
        return (*(n + 2 * (n // 8) for n in points[:-1]), points[-1])

    def solve(self, problem: PosedProblem, points: Sequence[int] | None, at: Sequence[Array], ctx: Context) -> Solved:
        """Step to the times at which values are wanted, and interpolate in the Fourier basis."""
        del ctx  # nothing here is random
        if points is not None:
            require_carried(problem, (*points[:-1], ANY), per_wave=2)
        initial = problem.initial
        found = evolve_periodic(
            problem.operator,
            [Interval(axis.low, axis.high, "periodic") for axis in problem.box.space],
            lambda *space: np.zeros(1) if initial is None else initial(*space),
            at[-1],
            counts=None if points is None else points[:-1],
            forcing=0.0 if problem.forcing.zero else problem.forcing,
        )
        values = np.moveaxis(found.on(*at[:-1]), 0, -1)
        grid = (*(axis.count for axis in found.axes), found.steps)
        unseen = found.error_estimate * float(np.abs(values).max())
        return Solved(values, grid, max(found.tails), found.steps, unseen_error=unseen)


SOLVER = Etd()
