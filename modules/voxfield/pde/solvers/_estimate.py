"""The error of a solution from a second grid, and the values on the axes that a field is told on.

Richardson (Phil. Trans. A 210, 1911): where the error is C h^p, the difference between the grids of widths h and r h is
(r^p - 1) C h^p. A method whose error falls faster than any power differs from its finer grid by its own error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.pde.problem import PosedProblem
from voxfield.pde.problem.operator import Array
from voxfield.pde.solvers._protocol import Solved, Solver

SAMPLES = {1: 2001, 2: 257, 3: 65, 4: 33}  # along an axis, by the number of axes


class Estimated(NamedTuple):
    """A solution, the points of the second grid, and the estimate of the largest error over the domain."""

    solved: Solved
    second: tuple[int, ...]
    error: float


def sample_axes(problem: PosedProblem, samples: Sequence[int]) -> list[Array]:
    """Equidistant coordinates (n_i,) on every axis, both ends among them."""
    axes = problem.box.axes
    counts = list(samples) or [SAMPLES[len(axes)]] * len(axes)
    if len(counts) != len(axes):
        raise InputError(f"samples has {len(counts)} numbers; the problem has the {len(axes)} axes {problem.box.names}")
    return [np.linspace(axis.low, axis.high, count) for axis, count in zip(axes, counts, strict=True)]


def solve_twice(
    solver: Solver, problem: PosedProblem, points: Sequence[int], at: Sequence[Array], ctx: Context
) -> Estimated:
    """Solve on two grids; the values are those of the first, of `points` or the solver's own choice."""
    if points and len(points) != len(problem.box.axes):
        raise InputError(f"points has {len(points)} numbers; the problem has the axes {', '.join(problem.box.names)}")
    first = solver.solve(problem, tuple(points) or None, at, ctx)
    wanted = solver.second(first.points)
    if wanted == first.points:  # its error is seen by the solver itself
        return Estimated(first, wanted, first.unseen_error)
    second = solver.solve(problem, wanted, at, ctx)
    difference = float(np.abs(first.values - second.values).max())
    if solver.order is not None:
        ratio = first.points[0] / second.points[0]
        difference /= abs(ratio**solver.order - 1)
    return Estimated(first, second.points, difference + first.unseen_error)
