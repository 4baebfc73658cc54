"""`gp_hm`: a Gaussian process on a grid, with a standard deviation; the frequencies are found by evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from voxfield.context import Context
from voxfield.pde.gp_hm import Face, Observations
from voxfield.pde.gp_hm import solve as solve_process
from voxfield.pde.problem._domain import VoxelRegion
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem._waves import highest, require_carried
from voxfield.pde.problem.operator import Array
from voxfield.pde.solvers._protocol import Solved

PER_WAVE = 4
UNEXPLAINED = 0.5  # share of the forcing that noise may be before it is told
FEWEST, MOST = {1: 128, 2: 64}, {1: 900, 2: 400}  # nodes along an axis, by the number of axes


@dataclass(frozen=True)
class GpHm:
    """Solver of the protocol."""

    order: float | None = None

    def fits(self, problem: PosedProblem) -> str:
        """Why it can not solve this problem; "" where it can."""
        if isinstance(problem.domain, VoxelRegion) or len(problem.box.axes) not in FEWEST:
            return "it solves on boxes of one or two axes, time among them"
        if problem.operator.complex_valued or problem.operator.conductivity is not None:
            return "it takes constant real coefficients"
        if any(axis.periodic for axis in problem.box.axes):
            return "an axis is periodic"
        return "" if problem.determined else "nothing but slopes of u is known"

    def second(self, points: Sequence[int]) -> tuple[int, ...]:
        """A quarter more."""
        return tuple(n + n // 4 for n in points)

    def solve(self, problem: PosedProblem, points: Sequence[int] | None, at: Sequence[Array], ctx: Context) -> Solved:
        """Condition on the equation at equidistant nodes, and tell the posterior."""
        points = tuple(points or _enough(problem))
        require_carried(problem, points, per_wave=2)
        nodes = [np.linspace(axis.low, axis.high, n) for axis, n in zip(problem.box.axes, points, strict=True)]
        seen = problem.observations
        found = solve_process(
            problem.operator,
            nodes,
            problem.forcing(*np.ix_(*nodes)),
            _faces(problem, nodes),
            observations=None if seen is None else Observations(seen.points, seen.values, seen.sd),
        )
        facts = {key: found.facts[key] for key in ("frequencies", "noise", "noise_share", "log_evidence", "stopped")}
        if found.facts["residual"] > UNEXPLAINED:
            ctx.finding(
                "forcing-taken-for-noise", "warning",
                f"{found.facts['residual']:.0%} of the forcing were taken for noise; if it is less noisy, give more "
                "points or another solver",
                value=found.facts["residual"],
            )  # fmt: skip
        return Solved(
            found.mean(at), points, found.facts["residual"], max(1, found.facts["newton_steps"]),
            standard_deviation=found.standard_deviation(at), facts=facts,
        )  # fmt: skip


SOLVER = GpHm()


def _enough(problem: PosedProblem) -> tuple[int, ...]:
    """PER_WAVE nodes a wave, within bounds."""
    waves, count = highest(problem), len(problem.box.axes)
    wanted = [int(waves[axis.name].number * PER_WAVE) for axis in problem.box.axes]
    return tuple(min(max(n, FEWEST[count]), MOST[count]) for n in wanted)


def _faces(problem: PosedProblem, nodes: Sequence[Array]) -> list[Face]:
    """What is known on the faces of the box, the first time among them; slopes along the axis, not outwards."""
    faces = []
    for (number, axis), end in product(enumerate(problem.box.space), "-+"):
        condition = problem.conditions[f"{axis.name}{end}"]
        if condition.kind != "free":
            place = np.array([axis.low if end == "-" else axis.high])
            mesh = np.ix_(*(place if n == number else own for n, own in enumerate(nodes)))
            values = condition.function(*mesh).squeeze(number)
            slope = condition.kind == "neumann"
            faces.append(Face(number, end == "+", -values if slope and end == "-" else values, order=int(slope)))
    if problem.initial is not None:
        faces.append(Face(len(nodes) - 1, False, problem.initial(*np.ix_(*nodes[:-1]))))
    return faces
