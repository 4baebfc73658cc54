"""`finite_volume`: cells on a box, second order in space and time, any of the boundary conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from voxfield.context import Context
from voxfield.pde.finite_volume._discretisation import Discretisation
from voxfield.pde.finite_volume._faces import CellAxis
from voxfield.pde.finite_volume._solve import evolve, steady
from voxfield.pde.problem._domain import Axis, VoxelRegion
from voxfield.pde.problem._functions import Spline
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem._waves import highest, require_carried
from voxfield.pde.problem.operator import Array
from voxfield.pde.solvers._protocol import TAKES_NO_OBSERVATIONS, Solved

CELLS_PER_WAVE = 48
FEWEST = {1: 512, 2: 128, 3: 24}  # cells along an axis, by the number of axes of space
MOST = {1: 32_768, 2: 512, 3: 64}
MOST_IN_TIME = {1: 2048, 2: 128, 3: 24}  # every step is kept
FEWEST_STEPS, MOST_STEPS = 256, 4096
WRAP = 8  # cells by which a periodic axis is continued before splines are laid through it


class FiniteVolume:
    """Solver of the protocol."""

    order: float | None = 2.0

    def fits(self, problem: PosedProblem) -> str:
        """Why it can not solve this problem; "" where it can."""
        if problem.observations is not None:
            return TAKES_NO_OBSERVATIONS
        if isinstance(problem.domain, VoxelRegion):
            return "it solves on boxes"
        operator = problem.operator
        if operator.complex_valued:
            return "its unknown is real"
        space = len(problem.box.space)
        orders = [term.order[:space] for term in operator.terms if term.coefficient]
        if any(sum(order) > 2 or sum(1 for n in order if n) > 1 for order in orders):
            return "it takes derivatives of first and second order along one axis each; chebyshev, fourier take others"
        if problem.initial is None and not problem.determined and any(sum(order) == 1 for order in orders):
            return "nothing but slopes of u is known, and the equation is not symmetric"
        return ""

    def second(self, points: Sequence[int]) -> tuple[int, ...]:
        """Half as many cells."""
        return tuple(n // 2 for n in points)

    def solve(self, problem: PosedProblem, points: Sequence[int] | None, at: Sequence[Array], ctx: Context) -> Solved:
        """Solve on cells, and lay cubic splines through their centres."""
        del ctx  # nothing here is random
        points = tuple(points or _enough(problem))
        require_carried(problem, points, per_wave=2)
        cells = _cells(problem, points)
        if problem.box.timed:
            return _in_time(problem, cells, points, at)
        forcing = problem.forcing(*cells.centres).ravel()
        found, imbalance = steady(cells, forcing, singular=not problem.determined)
        values = _at(problem.box.axes, cells, found.values.reshape(cells.shape), at)
        return Solved(values, points, found.residual, found.iterations, facts={"imbalance": imbalance})


SOLVER = FiniteVolume()


def _enough(problem: PosedProblem) -> tuple[int, ...]:
    """CELLS_PER_WAVE cells a wave, within bounds; steps in time likewise."""
    waves, space = highest(problem), len(problem.box.space)
    most = MOST_IN_TIME if problem.box.timed else MOST
    wanted = [int(waves[axis.name].number * CELLS_PER_WAVE) for axis in problem.box.axes]
    cells = [min(max(n, FEWEST[space]), most[space]) for n in wanted[:space]]
    return (*cells, *(min(max(n, FEWEST_STEPS), MOST_STEPS) for n in wanted[space:]))


def _cells(problem: PosedProblem, points: Sequence[int]) -> Discretisation:
    axes: list[CellAxis] = []
    boundary: dict[tuple[int, int], Callable[..., Array]] = {}
    for number, (axis, count) in enumerate(zip(problem.box.space, points, strict=False)):
        ends = None
        if not axis.periodic:
            low, high = (problem.conditions[f"{axis.name}{end}"] for end in "-+")
            ends = low.kind, high.kind
            boundary |= {(number, 0): low.function, (number, 1): high.function}
        axes.append(CellAxis(axis.low, axis.high, count, ends))
    operator = problem.operator.split_time()[1] if problem.box.timed else problem.operator
    return Discretisation(operator, tuple(axes), boundary)


def _in_time(problem: PosedProblem, cells: Discretisation, points: tuple[int, ...], at: Sequence[Array]) -> Solved:
    clock = problem.box.axes[-1]
    times = np.linspace(clock.low, clock.high, points[-1] + 1)
    rate = complex(problem.operator.split_time()[0]).real
    initial = problem.initial(*cells.centres) if problem.initial is not None else np.zeros(cells.shape)
    found = evolve(cells, rate, _forcing(problem, cells), initial.ravel(), times)
    values = _at(problem.box.axes, cells, found.values.reshape(*cells.shape, len(times)), at)
    return Solved(values, points, found.residual, found.iterations)


def _forcing(problem: PosedProblem, cells: Discretisation) -> Callable[[float], Array]:
    if problem.forcing.zero:
        nothing = np.zeros(int(np.prod(cells.shape)))
        return lambda time: nothing
    return lambda time: problem.forcing(*cells.centres, np.asarray(time)).ravel()


def _at(axes: Sequence[Axis], cells: Discretisation, values: Array, at: Sequence[Array]) -> Array:
    """Cell values at other places, by splines through the centres, and through Dirichlet values on the faces.

    On other faces the splines are continued by half a cell.
    """
    nodes = [own.centres for own in cells.axes]
    nodes += [np.linspace(axis.low, axis.high, values.shape[-1]) for axis in axes[len(nodes) :]]
    for number, own in enumerate(cells.axes):
        if own.ends is None:
            wide = np.arange(-WRAP, own.count + WRAP)
            nodes[number] = own.low + (wide + 0.5) * own.step
            values = np.take(values, wide % own.count, axis=number)
            continue
        for end, place in enumerate((own.low, own.high)):
            if own.ends[end] == "dirichlet":
                mesh = np.ix_(*(np.array([place]) if n == number else own for n, own in enumerate(nodes)))
                known = cells.boundary[number, end](*mesh)
                values = np.concatenate([values, known] if end else [known, values], axis=number)
                nodes[number] = np.append(nodes[number], place) if end else np.insert(nodes[number], 0, place)
    return Spline(nodes, values)(*np.ix_(*at))
