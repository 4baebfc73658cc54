"""A posed problem as the equation of the spectral solver, and its solution as that of a solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import Literal

import numpy as np

from voxfield.context import Context
from voxfield.pde.problem._domain import TIME, Axis, VoxelRegion
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem._waves import require_carried
from voxfield.pde.problem.operator import Array
from voxfield.pde.solvers._protocol import TAKES_NO_OBSERVATIONS, Solved
from voxfield.pde.spectral import Condition, Equation, Interval, dirichlet, neumann
from voxfield.pde.spectral import solve as solve_spectral


@dataclass(frozen=True)
class SpectralSolver:
    """Solver of the protocol; time is one more axis of Chebyshev points.

    basis  of the axes of space: "chebyshev" where at least one has ends, "fourier" where all are periodic
    """

    basis: Literal["chebyshev", "fourier"]
    order: float | None = None

    def fits(self, problem: PosedProblem) -> str:
        """Why it can not solve this problem; "" where it can."""
        if problem.observations is not None:
            return TAKES_NO_OBSERVATIONS
        if isinstance(problem.domain, VoxelRegion):
            return "it solves on boxes"
        if problem.operator.complex_valued:
            return "its unknown is real"
        periodic = all(axis.periodic for axis in problem.box.space)
        if periodic != (self.basis == "fourier"):
            return (
                "an axis has ends; use chebyshev" if self.basis == "fourier" else "all axes are periodic; use fourier"
            )
        return ""

    def second(self, points: Sequence[int]) -> tuple[int, ...]:
        """A quarter more; an even number stays even, as Fourier wants it."""
        return tuple(n + 2 * (n // 8) for n in points)

    def solve(self, problem: PosedProblem, points: Sequence[int] | None, at: Sequence[Array], ctx: Context) -> Solved:
        """Solve by collocation, and interpolate in the basis."""
        del ctx  # nothing here is random
        if points is not None:
            require_carried(problem, points, per_wave=2 if self.basis == "fourier" else pi)
        found = solve_spectral(_equation(problem), points)
        facts = {"imbalance": abs(found.imbalance)}
        return Solved(found.on(*at), found.values.shape, found.residual, found.iterations, facts=facts)


def _equation(problem: PosedProblem) -> Equation:
    box = problem.box
    conditions: dict[tuple[int, int], Condition] = {}
    for number, axis in enumerate(box.space):
        for face, condition in problem.conditions.items():
            if face[:-1] == axis.name and condition.kind != "free":
                make = dirichlet if condition.kind == "dirichlet" else neumann
                conditions[number, 0 if face[-1] == "-" else 1] = make(condition.function)
    if (initial := problem.initial) is not None:
        conditions[len(box.axes) - 1, 0] = dirichlet(lambda *at: initial(*np.broadcast_arrays(*at)[:-1]))
    return Equation(problem.operator, tuple(_interval(axis) for axis in box.axes), problem.forcing, conditions)


def _interval(axis: Axis) -> Interval:
    kind: Literal["bounded", "periodic", "time"] = "periodic" if axis.periodic else "bounded"
    return Interval(axis.low, axis.high, "time" if axis.name == TIME else kind)
