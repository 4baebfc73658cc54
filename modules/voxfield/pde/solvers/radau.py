"""`radau`: Radau IIA in time, on one axis of space whose Chebyshev points follow a front.

It chooses points and steps by itself, the points at every step until the coefficients of the solution end, the steps by
two widths; so there is no second grid, and its error is that of the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxfield.context import Context
from voxfield.errors import SettingsError
from voxfield.pde.problem._domain import VoxelRegion
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem.operator import Array
from voxfield.pde.solvers._protocol import TAKES_NO_OBSERVATIONS, Solved
from voxfield.pde.spectral import Interval, dirichlet, neumann
from voxfield.pde.stepping import evolve_line

TOLERANCE = 1e-8


@dataclass(frozen=True)
class RadauLine:
    """Solver of the protocol."""

    order: float | None = None

    def fits(self, problem: PosedProblem) -> str:
        """Why it can not solve this problem; "" where it can."""
        if problem.observations is not None:
            return TAKES_NO_OBSERVATIONS
        if isinstance(problem.domain, VoxelRegion) or not problem.box.timed or len(problem.box.space) != 1:
            return "it steps in time, on one axis of space"
        if problem.box.space[0].periodic or any(c.kind == "free" for c in problem.conditions.values()):
            return "it needs a condition at each end of the axis"
        if problem.operator.complex_valued or problem.operator.conductivity is not None:
            return "it takes constant real coefficients"
        return ""

    def second(self, points: Sequence[int]) -> tuple[int, ...]:
        """None: the same."""
        return tuple(points)

    def solve(self, problem: PosedProblem, points: Sequence[int] | None, at: Sequence[Array], ctx: Context) -> Solved:
        """Step to the times at which values are wanted."""
        del ctx  # nothing here is random
        if points is not None:
            raise SettingsError(f"points are {list(points)}, but this solver chooses its own; leave them out")
        (axis,), initial = problem.box.space, problem.initial
        conditions = {}
        for side, end in enumerate("-+"):
            condition = problem.conditions[f"{axis.name}{end}"]
            conditions[side] = (dirichlet if condition.kind == "dirichlet" else neumann)(condition.function)
        found = evolve_line(
            problem.operator,
            Interval(axis.low, axis.high),
            lambda x: np.zeros_like(x) if initial is None else initial(x),
            conditions,
            at[1],
            at[0],
            forcing=0.0 if problem.forcing.zero else problem.forcing,
            tolerance=TOLERANCE,
        )
        unseen = found.error_estimate * float(np.abs(found.values).max())
        return Solved(found.values.T, (len(at[0]), found.steps), 0.0, found.steps, unseen_error=unseen)


SOLVER = RadauLine()
