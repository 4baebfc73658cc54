"""Evolution equations from their initial value, by the scheme that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array, Operator
from voxfield.pde.spectral import Condition, Fourier, Interval
from voxfield.pde.spectral._equation import Function, evaluate
from voxfield.pde.spectral._resolution import LIMITS
from voxfield.pde.spectral._solution import tail
from voxfield.pde.spectral._tensor import along
from voxfield.pde.stepping._exponential import ExponentialRungeKutta
from voxfield.pde.stepping._fronts import FollowedFront
from voxfield.pde.stepping._grid import PeriodicGrid
from voxfield.pde.stepping._march import MAX_STEPS, March, march
from voxfield.pde.stepping._splitting import Splitting

TOLERANCE = 1e-10
RESOLUTION = 1e-10
COARSEST = 32
MOST_WORK = 5e11  # operations of a run on one grid, roughly: some minutes
TRANSFORMS = 40  # operations of a step over n log2 n of its points: eight transforms


@dataclass(frozen=True)
class PeriodicSolution:
    """Values on a periodic grid at given times.

    axes            points of each axis
    values          (times, *counts)
    steps           of the whole run
    error_estimate  of stepping, largest error over the largest value, from two step widths
    tails           of each axis, the largest coefficient at any time in the last tenth over the largest
    """

    axes: tuple[Fourier, ...]
    values: Array
    steps: int
    error_estimate: float
    tails: tuple[float, ...]

    def on(self, *points: Array) -> Array:
        """Values (times, m_1, m_2, ...) on the tensor grid of `points`, one array (m_k,) an axis."""
        values = self.values
        for number, (axis, at) in enumerate(zip(self.axes, points, strict=True), start=1):
            values = along(axis.interpolation(at), values, number)
        return values


def evolve_periodic(
    operator: Operator,
    box: Sequence[Interval],
    initial: Function,
    times: Array,
    *,
    counts: Sequence[int] | None = None,
    forcing: Function | float = 0.0,
    tolerance: float = TOLERANCE,
) -> PeriodicSolution:
    """Step an equation on periodic axes: splitting where the unknown is complex, ETDRK4 where it is real.

    operator   left side, time last: c u_t + S(u) = forcing
    box        the axes of space, all periodic
    initial    function of the coordinates, at times[0]
    times      (n,) ascending, at which values are wanted
    counts     points an axis (even); None to double them until the coefficients end
    tolerance  of the error of stepping, relative to the largest value

    Raises InputError where tolerance or resolution are out of reach, of a bounded number of steps.
    """
    if counts is not None:
        return _on_grid(operator, PeriodicGrid.of(box, counts), initial, times, forcing, tolerance)
    counts = [COARSEST] * len(box)
    while True:
        solution = None
        if max(_tails(PeriodicGrid.of(box, counts), initial)) <= RESOLUTION:
            solution = _on_grid(operator, PeriodicGrid.of(box, counts), initial, times, forcing, tolerance)
        tails = solution.tails if solution else _tails(PeriodicGrid.of(box, counts), initial)
        if solution and max(tails) <= RESOLUTION:
            return solution
        counts = [2 * count if end > RESOLUTION else count for count, end in zip(counts, tails, strict=True)]
        if max(counts) > LIMITS[len(box)]:
            raise InputError(
                f"{' x '.join(map(str, solution.values.shape[1:] if solution else counts))} points leave tails of "
                f"{', '.join(f'{end:.1e}' for end in tails)} where {RESOLUTION:g} is wanted: it is not smooth "
                "as a periodic function; give the number of points, or solve by finite volumes"
            )


def evolve_line(
    operator: Operator,
    interval: Interval,
    initial: Function,
    conditions: Mapping[int, Condition],
    times: Array,
    at: Array,
    *,
    forcing: Function | float = 0.0,
    tolerance: float = TOLERANCE,
) -> March:
    """Step an equation on one bounded axis: Radau IIA on Chebyshev points that follow a front.

    operator    left side, over the axis and time: c u_t + S(u) = forcing
    initial     function of the coordinate, at times[0]; must meet the conditions
    conditions  0 (low end), 1 (high end) -> condition, data as functions of the coordinate and time
    times       (n,) ascending, at which values are wanted
    at          (m,) points at which they are wanted; the values are (n, m)
    tolerance   of the error of stepping, relative to the largest value
    """
    if interval.kind != "bounded" or operator.complex_valued:
        raise InputError("stepping on a line wants a bounded axis and a real unknown; use periodic stepping for others")
    if sorted(conditions) != [0, 1]:
        raise InputError(f"there are conditions at the sides {sorted(conditions)}; expected one at each end, 0 and 1")
    stepper = FollowedFront(
        operator, interval, initial, conditions, np.asarray(at, dtype=float), float(times[0]), forcing
    )
    return march(stepper, times, tolerance)


def _on_grid(
    operator: Operator, grid: PeriodicGrid, initial: Function, times: Array, forcing: Function | float, tolerance: float
) -> PeriodicSolution:
    values = evaluate(initial, *grid.coordinates)
    most_steps = min(MAX_STEPS, int(MOST_WORK / (TRANSFORMS * values.size * np.log2(values.size))))
    if operator.complex_valued:
        if callable(forcing) or forcing:
            raise InputError("an equation with complex coefficients is split, which takes no forcing; leave it out")
        result = march(Splitting(operator, grid, values), times, tolerance, most_steps)
    else:
        stepper = ExponentialRungeKutta(operator, grid, values, forcing)
        stepper.check(float(times[-1] - times[0]))
        result = march(stepper, times, tolerance, most_steps)
    tails = tuple(tail(axis.spectrum(result.values, number)) for number, axis in enumerate(grid.axes, start=1))
    return PeriodicSolution(grid.axes, result.values, result.steps, result.error_estimate, tails)


def _tails(grid: PeriodicGrid, initial: Function) -> tuple[float, ...]:
    values = evaluate(initial, *grid.coordinates)
    return tuple(tail(axis.spectrum(values, number)) for number, axis in enumerate(grid.axes))
