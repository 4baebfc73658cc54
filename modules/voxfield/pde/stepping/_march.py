"""From time to time with equal steps, as many as two step widths need to agree.

The error is estimated over the whole run, not step by step: the run with steps of h and that with h / 2 differ by
(2^p - 1) times the error of the finer one (Richardson; Hairer, Norsett & Wanner, Solving ODEs I, sec. II.4). The steps
are equal so that what a scheme precomputes for one width (exponentials, contours) serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array

S = TypeVar("S")

MAX_STEPS = 2**17
BOLDEST = 4  # largest growth of the number of steps at once: early differences do not obey the order yet
ROUND_OFF = 1e-7  # below this, a difference that no longer falls is round-off


class Stepper(Protocol[S]):
    """A scheme of one step.

    order  of its error over a fixed time
    """

    @property
    def order(self) -> int:
        """Power of the step width with which the error over a fixed time falls."""

    def start(self) -> S:
        """State at the first time."""

    def stepping(self, width: float) -> Callable[[float, S], S]:
        """The map (time, state) -> state after one step of that width; NaN where the width is too large for it."""

    def values(self, state: S) -> Array:
        """Values of a state."""


@dataclass(frozen=True)
class March:
    """A solution in time.

    values          (times, ...)
    steps           of the whole run
    error_estimate  largest error over the largest value, from two step widths
    """

    values: Array
    steps: int
    error_estimate: float


def march(stepper: Stepper[S], times: Array, tolerance: float, most_steps: int = MAX_STEPS) -> March:
    """Values at all `times` (ascending, from that of the initial value), to a tolerance relative to the largest.

    Raises InputError where round-off, or the number of steps, stops it before.
    """
    times = np.asarray(times, dtype=float)
    if times.ndim != 1 or len(times) < 2 or not (np.diff(times) > 0).all():
        raise InputError(f"times are {times}; expected at least two, ascending")
    per_interval, best = 1, np.inf
    coarse = fixed(stepper, times, per_interval)
    while True:
        fine = fixed(stepper, times, 2 * per_interval)
        error = _difference(fine, coarse) / (2**stepper.order - 1)
        total = int(_shares(times, 2 * per_interval).sum())
        if error <= tolerance:
            return March(fine, total, error)
        if best < ROUND_OFF and error > best / 2:
            raise InputError(f"round-off leaves an error of {error:.1e}; a tolerance of {tolerance:g} is out of reach")
        growth = _growth(error / tolerance, stepper.order)
        if 4 * growth * total > most_steps:
            raise InputError(
                f"{total} steps leave an error of {error:.1e} where {tolerance:g} is wanted; more than {most_steps} "
                "would be needed: is the solution smooth in time, and does the equation go forward? Fewer points or a "
                "shorter time may help, or finite volumes (solver finite_volume)"
            )
        coarse = fine if growth == 1 else fixed(stepper, times, 2 * growth * per_interval)
        per_interval, best = 2 * growth * per_interval, error


def fixed(stepper: Stepper[S], times: Array, per_interval: int) -> Array:
    """Values at all times, with `per_interval` steps in an interval of median length, in proportion in longer ones."""
    state = stepper.start()
    values = [stepper.values(state)]
    known: dict[float, Callable[[float, S], S]] = {}
    for start, end, count in zip(times[:-1], times[1:], _shares(times, per_interval), strict=True):
        width = (end - start) / count
        key = float(f"{width:.9e}")  # equal intervals differ by round-off
        if key not in known:
            known[key] = stepper.stepping(width)
        step = known[key]
        with np.errstate(over="ignore", invalid="ignore"):  # too wide a step ends in NaN, and is told by it
            for number in range(count):
                state = step(start + number * width, state)
        values.append(stepper.values(state))
    return np.stack(values)


def _growth(excess: float, order: int) -> int:
    """Factor on the number of steps that takes away the excess of the error; the run that follows doubles it."""
    return BOLDEST if excess == np.inf else int(np.clip(np.ceil(excess ** (1 / order) / 2), 1, BOLDEST))


def _shares(times: Array, per_interval: int) -> Array:
    gaps = np.diff(times)
    return np.asarray(per_interval * np.maximum(1, np.round(gaps / np.median(gaps)))).astype(int)


def _difference(fine: Array, coarse: Array) -> float:
    if not (np.isfinite(fine).all() and np.isfinite(coarse).all()):
        return np.inf
    return float(np.abs(fine - coarse).max() / max(np.abs(fine).max(), np.finfo(float).tiny))
