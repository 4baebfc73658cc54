"""What a solver is: it says whether it fits a problem, and solves on a grid that it is told or that it chooses.

Every solver gives its values on the grid that it is asked for, by its own means of interpolation (polynomials,
trigonometric sums, splines, a posterior), so that solutions of different solvers lie on one grid and can be subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from voxfield.context import Context
from voxfield.pde.problem import PosedProblem
from voxfield.pde.problem.operator import Array

TAKES_NO_OBSERVATIONS = "it takes no observations; gp_hm does"


@dataclass(frozen=True)
class Solved:
    """What a solver found.

    values              on the open mesh that was asked for
    points              of its own grid, along each axis
    residual            of its own discrete equations, relative to their parts
    iterations          of the method that took most of them; 1 where it is direct
    standard_deviation  like values, where the solver tells one
    unseen_error        largest error that a second grid does not show, such as that of steps in time
    facts               more that is worth telling, plain values
    """

    values: Array
    points: tuple[int, ...]
    residual: float
    iterations: int
    standard_deviation: Array | None = None
    unseen_error: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


class Solver(Protocol):
    """A solver of posed problems.

    order  of its error in the width of the grid; None where it falls faster than any power
    """

    order: float | None

    def fits(self, problem: PosedProblem) -> str:
        """Why it can not solve this problem; "" where it can."""

    def second(self, points: Sequence[int]) -> tuple[int, ...]:
        """Another grid, whose solution tells the error of that on `points`."""

    def solve(self, problem: PosedProblem, points: Sequence[int] | None, at: Sequence[Array], ctx: Context) -> Solved:
        """Solve on a grid of that many points along each axis, or one of its own; values at the axes `at` (n_i,).

        Raises InputError where the grid can not carry what is given, and where the method does not converge.
        """
