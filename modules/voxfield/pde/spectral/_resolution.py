"""How many points a function needs along an axis, and the message where that is too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array
from voxfield.pde.spectral._equation import Equation, Function, Interval, evaluate
from voxfield.pde.spectral._solution import Solution, fractions, tail

COARSEST = 16
LIMITS = {1: 4096, 2: 1024, 3: 192}  # points an axis by number of axes: seconds of work, and 1 GiB at most
FINEST_SAMPLING = 2**17
LINES = 3
BETWEEN_NODES = 1e-6

Lines = Callable[[Array], Array]  # points (n,) of the axis -> values (n, lines)


def needed_counts(equation: Equation, tolerance: float) -> list[int]:
    """Points an axis with which forcing, conditions and conductivity are resolved to the tolerance.

    Raises InputError that names axis, frequency and grid where these are beyond what can be solved.
    """
    counts = []
    for axis, interval in enumerate(equation.box):
        band = _band(equation, axis, tolerance)
        counts.append(_points(band, interval))
        if counts[-1] > LIMITS[len(equation.box)]:
            raise _too_many(equation, axis, band)
    return counts


def bandwidth(lines: Lines, interval: Interval, tolerance: float) -> int:
    """Number of modes that functions along one interval have: sampled ever finer until their coefficients end."""
    count = COARSEST
    while count <= FINEST_SAMPLING:
        axis = interval.discretise(count + (interval.kind != "periodic"))
        values = lines(axis.points)
        spectrum = axis.spectrum(values, 0)
        if tail(spectrum) <= tolerance and _between_nodes(axis.interpolation, lines, values, interval):
            return int(np.flatnonzero(spectrum > tolerance * spectrum.max()).max(initial=-1)) + 1
        count *= 2
    raise InputError(
        f"a forcing or condition is not resolved by {FINEST_SAMPLING} points on [{interval.low:.6g}, "
        f"{interval.high:.6g}]: it has jumps, kinks or noise; smooth it, raise the tolerance, or take finite volumes"
    )


def too_fine(equation: Equation, axis: int, solution: Solution | None, tolerance: float) -> InputError:
    """The error where a solution is not resolved by the finest grid, with what is known about the grid it needs."""
    limit = LIMITS[len(equation.box)]
    band = _band(equation, axis, tolerance)
    if _points(band, equation.box[axis]) > limit:
        return _too_many(equation, axis, band)
    spectrum = None if solution is None else solution.axes[axis].spectrum(solution.values, axis)
    reached = "no solution" if spectrum is None else f"a tail of {tail(spectrum):.1e}"
    count = "no grid" if solution is None else f"{solution.axes[axis].count} points"
    return InputError(
        f"axis {axis}: {count} of at most {limit} leave {reached} where {tolerance:g} is wanted, and "
        f"{_extrapolated(spectrum, tolerance)}; the solution has a layer or a singularity there: solve by finite "
        "volumes, or raise the tolerance"
    )


def _extrapolated(spectrum: Array | None, tolerance: float) -> str:
    """Where the coefficients would reach the tolerance, if they went on to decay as they do."""
    if spectrum is None:
        return "its need can not be told"
    modes = np.arange(len(spectrum))
    envelope = np.maximum.accumulate(spectrum[::-1])[::-1] / spectrum.max()
    late = slice(len(modes) // 4, None)
    rate, level = np.polyfit(modes[late], np.log(envelope[late]), 1)
    if rate >= -1e-9:
        return "its coefficients do not decay"
    return f"about {int(np.ceil((np.log(tolerance) - level) / rate))} would be needed"


def _band(equation: Equation, axis: int, tolerance: float) -> int:
    return max(bandwidth(lines, equation.box[axis], tolerance) for lines in _data(equation, axis))


def _points(band: int, interval: Interval) -> int:
    """Points for that many modes, and an eighth more so that the tail of the solution is seen to be one."""
    modes = 8 + band + band // 8
    return 2 * modes if interval.kind == "periodic" else modes + 1


def _too_many(equation: Equation, axis: int, band: int) -> InputError:
    interval = equation.box[axis]
    # cos(n arccos x) has n radians a unit in the middle of an interval of length 2.
    radians = band * (2 * np.pi if interval.kind == "periodic" else 2) / interval.length
    return InputError(
        f"axis {axis}: frequencies reach about {radians / (2 * np.pi):.4g} cycles a unit of [{interval.low:.6g}, "
        f"{interval.high:.6g}], which needs {_points(band, interval)} points; at most {LIMITS[len(equation.box)]} can "
        "be solved: smooth the data, or solve by finite volumes"
    )


def _between_nodes(interpolation: Callable[[Array], Array], lines: Lines, values: Array, interval: Interval) -> bool:
    """Whether the interpolant is the function where it was not sampled; coefficients of aliases decay as well."""
    at = interval.low + interval.length * fractions(LINES + 2)
    wrong = np.abs(interpolation(at) @ values - lines(at)).max()
    return bool(wrong <= BETWEEN_NODES * np.abs(values).max(initial=0.0))


def _data(equation: Equation, axis: int) -> Iterator[Lines]:
    """All functions that an equation is given, along one axis."""
    yield _lines(equation.forcing, equation.box, axis, {})
    for (number, side), condition in equation.conditions.items():
        if number != axis:
            yield _lines(condition.data, equation.box, axis, {number: equation.box[number].end(side)})
    if equation.operator.conductivity and axis in equation.space:
        box = tuple(equation.box[number] for number in equation.space)
        yield _lines(equation.operator.conductivity, box, axis, {})


def _lines(function: Function | float, box: tuple[Interval, ...], axis: int, fixed: dict[int, float]) -> Lines:
    """A function along one axis, at a few places of the others."""

    def along_axis(points: Array) -> Array:
        coordinates = [
            points[:, None]
            if number == axis
            else np.full((1, LINES), fixed[number])
            if number in fixed
            else (interval.low + interval.length * fractions(LINES, number))[None]
            for number, interval in enumerate(box)
        ]
        return evaluate(function, *coordinates)

    return along_axis
