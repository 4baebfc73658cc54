"""Stepping on a bounded axis whose points follow the solution.

After every step the coefficients must end; where they do not, the step is done again on a grid that fits what came out:
drawn together at its front where that has narrowed or moved, or else with more points. Of several fronts each is the
steepest where the points are not, so that the points are drawn together REDRAWS times only before there are more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array, Operator
from voxfield.pde.spectral import Chebyshev, Condition, Interval
from voxfield.pde.spectral._budget import Budget
from voxfield.pde.spectral._equation import Function, evaluate
from voxfield.pde.spectral._solution import tail
from voxfield.pde.stepping._line import Line
from voxfield.pde.stepping._mapped import Mapped, front
from voxfield.pde.stepping._radau import Radau

COUNTS = (25, 33, 49, 65, 97, 129, 193, 257, 385)
NARROWER = 0.7
REDRAWS = 2  # of points of one count, in search of those that resolve a step
RESOLUTION = 1e-12
METHOD = Radau(5)
MOST_WORK = 4e11
FACTORISING = 10  # operations of a step over the cube of its points; three matrices of complex numbers
ANY_STEP = 1e7  # what a step costs on the fewest points
ADVICE = (
    "it has several fronts, or one that moves fast, or it is no longer smooth; solve by finite volumes (solver "
    "finite_volume), or over a shorter time"
)


class State(NamedTuple):
    """Values at the inner nodes of a line, and at all nodes."""

    line: Line
    inner: Array
    full: Array

    @property
    def resolved(self) -> bool:
        """Whether the coefficients end before the last; false for values that are not finite."""
        return tail(self.line.axis.spectrum(self.full, 0)) <= RESOLUTION


@dataclass(frozen=True)
class FollowedFront:
    """Radau IIA on Chebyshev points that follow the solution. Raises OutOfWork where steps and searches have no end.

    operator    left side, over the axis and time
    initial     function of the coordinate
    conditions  by side (0 low, 1 high), data as functions of the coordinate and time
    at          (m,) points at which values are wanted
    """

    operator: Operator
    interval: Interval
    initial: Function
    conditions: Mapping[int, Condition]
    at: Array
    first_time: float
    forcing: Function | float = 0.0
    budget: Budget = field(default_factory=lambda: Budget(MOST_WORK, ADVICE))

    @property
    def order(self) -> int:
        """Stage order and one: stiff terms and moving ends may take the rest of the 2 s - 1."""
        return len(METHOD.nodes) + 1

    def start(self) -> State:
        """The initial value on points that resolve it."""
        axis, redrawn = Chebyshev(self.interval.low, self.interval.high, COUNTS[0]), 0
        while True:
            state = self._state(self._line(axis), self.first_time, evaluate(self.initial, axis.points))
            if state.resolved:
                return state
            axis, redrawn = self._fitted(state, self.first_time, redrawn)

    def values(self, state: State) -> Array:
        """Values at the points `at`."""
        return np.asarray(state.line.axis.interpolation(self.at) @ state.full)

    def stepping(self, width: float) -> Callable[[float, State], State]:
        """One step, done again on other points until its result is resolved."""

        def step(time: float, state: State) -> State:
            line, inner, redrawn = state.line, state.inner, 0
            while np.isfinite(inner).all():
                self.budget.spend(ANY_STEP + FACTORISING * line.axis.count**3, "implicit steps")
                end = METHOD.step(line, time, inner, width)
                after = State(line, end, line.full(time + width, end))
                if after.resolved or not np.isfinite(end).all():
                    return after
                # Always from the state itself: the grid just tried may have been too coarse for it.
                axis, redrawn = self._fitted(after, time, redrawn)
                line = self._line(axis)
                inner = (state.line.axis.interpolation(line.axis.points) @ state.full)[line.ends.inner]
            return state

        return step

    def _fitted(self, after: State, time: float, redrawn: int) -> tuple[Mapped, int]:
        """Points that fit a step's result better than its own, and how often that many have been redrawn."""
        axis = after.line.axis
        centre, width = front(axis, after.full)
        old_centre, old_width = (
            (axis.centre, axis.width) if isinstance(axis, Mapped) else (centre, (axis.high - axis.low) / 4)
        )
        if redrawn < REDRAWS and (width <= NARROWER * old_width or abs(centre - old_centre) >= width):
            return Mapped(axis.low, axis.high, axis.count, centre, width), redrawn + 1
        count = next((more for more in COUNTS if more > axis.count), None)
        if count is None:
            raise InputError(
                f"{COUNTS[-1]} points drawn together within {old_width:.2g} of {old_centre:.6g} do not resolve the "
                f"solution from t = {time:.6g} on: it has several fronts, or one at an end, as where the initial value "
                "does not meet the conditions; correct these, or solve by finite volumes"
            )
        return Mapped(axis.low, axis.high, count, old_centre, old_width), 0

    def _line(self, axis: Chebyshev) -> Line:
        return Line(self.operator, axis, self.conditions, self.forcing)

    def _state(self, line: Line, time: float, values: Array) -> State:
        inner = np.asarray(values[line.ends.inner])
        return State(line, inner, line.full(time, inner))
