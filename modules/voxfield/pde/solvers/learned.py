"""`learned`: a trained operator gives the start, conjugate gradients on finite volumes the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.pde.problem._domain import VoxelRegion
from voxfield.pde.problem._functions import Spline
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem._waves import require_carried
from voxfield.pde.problem.operator import Array
from voxfield.pde.solvers._protocol import Solved

if TYPE_CHECKING:
    from voxfield.artifacts import Model

POINTS = {2: 129, 3: 33}  # along an axis, by the number of axes
RTOL = 1e-10


@dataclass(frozen=True)
class LearnedSolver:
    """Solver of the protocol, for the problem that its model was trained on, with another conductivity.

    model  of `pde.operator_train`; None until one is given
    """

    model: Model | None = None
    order: float | None = 2.0

    def trained(self, model: Model) -> LearnedSolver:
        """This solver with a model."""
        return LearnedSolver(model)

    def fits(self, problem: PosedProblem) -> str:
        """Why it can not solve this problem; "" where it can."""
        from voxfield.pde.operators._learned import LearnedOperator
        from voxfield.pde.operators._problem import misfit

        if self.model is None:
            return "it needs the input `model`, one of pde.operator_train"
        if isinstance(problem.domain, VoxelRegion):
            return "it solves on boxes"
        fault = misfit(problem)
        if fault:
            return f"it solves div(a grad u) = f, u zero on all faces; {fault}"
        learnt = LearnedOperator.from_model(self.model).problem.posed
        ends = [[(axis.name, axis.low, axis.high) for axis in one.box.axes] for one in (problem, learnt)]
        if ends[0] != ends[1]:
            return f"its model was trained on the box {ends[1]}, this one is {ends[0]}"
        mesh = np.ix_(*(np.linspace(axis.low, axis.high, 7) for axis in problem.box.axes))
        if not np.allclose(problem.forcing(*mesh), learnt.forcing(*mesh)):
            return "its model was trained with another forcing"
        return ""

    def second(self, points: Sequence[int]) -> tuple[int, ...]:
        """Every other point."""
        return tuple((n + 1) // 2 for n in points)

    def solve(self, problem: PosedProblem, points: Sequence[int] | None, at: Sequence[Array], ctx: Context) -> Solved:
        """Solve on equidistant points, those on the faces among them, and lay cubic splines through."""
        from voxfield.pde.operators._certified import certify
        from voxfield.pde.operators._learned import LearnedOperator

        if self.model is None or problem.operator.conductivity is None:
            raise TypeError("the problem does not fit; ask `fits` first")
        operator = LearnedOperator.from_model(self.model)
        box = problem.box
        points = tuple(points or [POINTS[len(box.axes)]] * len(box.axes))
        require_carried(problem, points, per_wave=2)
        axes = tuple(np.linspace(axis.low, axis.high, n) for axis, n in zip(box.axes, points, strict=True))
        a = np.broadcast_to(problem.operator.conductivity(*np.ix_(*axes)), points)
        if a.min() <= 0:
            raise InputError(f"the conductivity is {a.min():.3g} somewhere; expected above 0")
        inputs = (a - operator.contrast.low) / operator.contrast.slope
        guess = operator.predict(inputs[None], axes, ctx.torch_device())[0]
        found = certify(operator.problem.grid(axes), a, operator.problem.source(axes), guess, rtol=RTOL)
        facts = {
            "iterations_from_zero": found.from_zero, "learned_error": found.guess_error, "bound": found.bound,
            "unfamiliar": operator.unfamiliar(inputs),
        }  # fmt: skip
        return Solved(Spline(axes, found.values)(*np.ix_(*at)), points, found.residual, found.iterations, facts=facts)


SOLVER = LearnedSolver()
