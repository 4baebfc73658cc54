"""The frequencies that a problem asks of a grid, told before anything is solved on one that is too coarse.

What is given (forcing, boundary and initial values, conductivity) is sampled densely along each axis, a few times at
other places of the rest, windowed (Hann) against its ends, and transformed. Its highest frequency is the one above
which SHARE of the energy lies: harmonics that a nonlinear term adds in the last percent of the amplitude do not count,
since collocation solves with them folded down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem._domain import Box
from voxfield.pde.problem._functions import Function
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem.operator import Array

SAMPLES = 1 << 14  # along an axis
LINES = 3  # at other places of the rest
SHARE = 1e-4
WINDOW = 2  # waves that the window adds


class Waves(NamedTuple):
    """The highest frequency along an axis.

    number  waves over the whole axis
    what    that asks for it, such as "the forcing"
    """

    number: float
    what: str


def highest(problem: PosedProblem) -> dict[str, Waves]:
    """Axis -> the highest frequency of what is given along it."""
    box = problem.box
    found = {axis.name: Waves(0.0, "nothing") for axis in box.axes}
    for function, fixed in _functions(problem):
        for name in function.names:
            if name not in fixed and not function.zero:
                number = _waves(function, name, box, fixed)
                if number > found[name].number:
                    found[name] = Waves(number, function.what)
    return found


def require_carried(problem: PosedProblem, points: Sequence[int], per_wave: float) -> None:
    """Raise InputError where a grid has too few points for what is given.

    points    along each axis
    per_wave  points that a wave needs at least: 2 on a uniform grid, pi on one of Chebyshev points
    """
    waves = highest(problem)
    short = [
        (axis, n, waves[axis.name])
        for axis, n in zip(problem.box.axes, points, strict=True)
        if waves[axis.name].number * per_wave > n
    ]
    for axis, n, (number, what) in short:
        needed = [
            max(m, math.ceil(per_wave * waves[own.name].number) + 1)
            for own, m in zip(problem.box.axes, points, strict=True)
        ]
        raise InputError(
            f"{what} has {number / axis.length:.4g} waves a unit of {axis.name} ({axis.unit}), {number:.0f} over the "
            f"axis; a grid of {n} points carries {n / per_wave:.0f} of them; one that would: points = {needed}"
        )


def _functions(problem: PosedProblem) -> Iterator[tuple[Function, Mapping[str, float]]]:
    """Everything that is given, with the coordinates that are fixed where it holds."""
    box = problem.box
    yield problem.forcing, {}
    for face, condition in problem.conditions.items():
        axis = box.axes[box.names.index(face[:-1])]
        yield condition.function, {axis.name: axis.low if face[-1] == "-" else axis.high}
    if problem.initial is not None:
        yield problem.initial, {}
    if isinstance(problem.operator.conductivity, Function):
        yield problem.operator.conductivity, {}


def _waves(function: Function, name: str, box: Box, fixed: Mapping[str, float]) -> float:
    """Waves of a function over one axis."""
    rng = np.random.default_rng(0)
    coordinates: list[Array] = []
    for axis in box.axes[: len(function.names)]:
        if axis.name == name:
            coordinates.append(axis.low + axis.length * np.arange(SAMPLES) / SAMPLES)
        elif axis.name in fixed:
            coordinates.append(np.array([fixed[axis.name]]))
        else:
            coordinates.append(np.sort(axis.low + axis.length * rng.random(LINES)))
    values = function(*np.ix_(*coordinates))
    lines = np.moveaxis(values, function.names.index(name), -1).reshape(-1, SAMPLES)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SAMPLES) / SAMPLES)
    energy = (np.abs(np.fft.rfft((lines - lines.mean(axis=1, keepdims=True)) * window)) ** 2).sum(axis=0)
    if energy.sum() <= 1e-20 * SAMPLES**2 * np.square(lines).mean():
        return 0.0
    above = np.cumsum(energy[::-1])[::-1] > SHARE * energy.sum()
    return float(max(0, np.flatnonzero(above).max(initial=0) - WINDOW))
