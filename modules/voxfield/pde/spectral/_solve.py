"""Solve an equation: Newton's iteration on one grid, and the grid chosen by the decay of coefficients.

A linear equation is one step of Newton's. Its grid starts at what forcing and conditions need (each is resolved along
each axis first, which costs FFTs and no solve), a nonlinear one at the coarsest, since u^3 makes forcings rougher than
solutions. An axis is resolved where the last tenth of the coefficients is below the tolerance, relative to the largest;
axes that are not are doubled. Coefficients alone can be deceived by aliases (on 16 points sin 20 x is sin 4 x), so the
equation must also hold between the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import LinAlgWarning

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array
from voxfield.pde.spectral._budget import Budget, OutOfWork
from voxfield.pde.spectral._equation import Equation
from voxfield.pde.spectral._resolution import COARSEST, LIMITS, needed_counts, too_fine
from voxfield.pde.spectral._solution import Solution
from voxfield.pde.spectral._system import System, work_of

TOLERANCE = 1e-12
NEWTON_STEPS = 30
SETTLED = 1e-8  # of a step relative to the solution; the next would be its square
COMPATIBLE = 1e-8
SINGULAR = (np.linalg.LinAlgError, LinAlgWarning)
BETWEEN_NODES = 1e-2  # an alias leaves a residual of the order of the forcing


def solve(equation: Equation, counts: Sequence[int] | None = None, *, tolerance: float = TOLERANCE) -> Solution:
    """Solve by spectral collocation.

    counts     points an axis (even on periodic ones); None to choose them
    tolerance  largest relative coefficient in the tail of a resolved axis

    Raises InputError where the grid that would be needed is too fine (naming it and the frequency), where Newton's
    iteration or GMRES does not converge within a bound on their work, and for Neumann data that no solution has.
    """
    if counts is not None:
        solution = _newton(System(equation, counts))
        # What a grid too coarse for its data leaves out of balance is no fault of theirs.
        return _compatible(solution) if max(solution.tails) <= COMPATIBLE else solution
    counts, budget = _first_counts(equation, tolerance), work_of(equation)
    while True:
        found = _attempt(equation, counts, tolerance, budget)
        coarse = list(range(len(counts))) if found is None else _unresolved(found, tolerance)
        if found is not None and not coarse:
            return found
        for axis in coarse:
            if 2 * counts[axis] > LIMITS[len(counts)] + 2:
                raise too_fine(equation, axis, found, tolerance)
            counts[axis] = _doubled(equation, axis, counts[axis])


def error_estimate(solution: Solution) -> float:
    """Largest difference from the solution on a grid a quarter finer, over the largest value."""
    finer = solve(solution.system.equation, [count + 2 * (count // 8) for count in solution.values.shape])
    largest = _size(finer.values)
    return _size(solution.on(*(axis.points for axis in finer.axes)) - finer.values) / largest if largest else 0.0


def _first_counts(equation: Equation, tolerance: float) -> list[int]:
    if equation.operator.linear:
        return needed_counts(equation, tolerance)
    return [COARSEST + (interval.kind != "periodic") for interval in equation.box]


def _doubled(equation: Equation, axis: int, count: int) -> int:
    """Twice as many points; of a bounded axis twice as many intervals between them."""
    return 2 * count - (equation.box[axis].kind != "periodic")


def _attempt(equation: Equation, counts: Sequence[int], tolerance: float, budget: Budget) -> Solution | None:
    """Solution on one grid; None where Newton's iteration fails before the data are resolved, as it then may."""
    try:
        return _newton(System(equation, counts, budget))
    except OutOfWork:
        raise
    except InputError:
        if all(n >= 2 * needed for n, needed in zip(counts, needed_counts(equation, tolerance), strict=True)):
            raise
        return None


def _unresolved(solution: Solution, tolerance: float) -> list[int]:
    coarse = [axis for axis, tail in enumerate(solution.tails) if tail > tolerance]
    if not coarse and _compatible(solution).residual > BETWEEN_NODES:
        return list(range(len(solution.tails)))
    return coarse


def _newton(system: System) -> Solution:
    values = _start(system)
    for step in range(1, NEWTON_STEPS + 1):
        change = _step(system, values)
        values = system.add(values, change)
        if system.direct or _size(change) <= SETTLED * _size(values):
            imbalance = abs(np.mean(system.residual(values))) if system.equation.singular else 0.0
            return Solution(system, _centred(system, values), step, float(imbalance))
        if not np.isfinite(values).all():
            break
    raise InputError(
        f"Newton's iteration did not settle in {NEWTON_STEPS} steps on "
        f"{system.size} points; the problem may have no solution, or several"
    )


def _start(system: System) -> Array:
    """Zero; or one where only a power of u tells its mean, which the equation linearised at zero does not."""
    values = system.start()
    if system.equation.free and not system.equation.operator.linear:
        try:
            system.solve(values, system.residual(values))
        except SINGULAR:
            return system.start(1.0)
    return values


def _step(system: System, values: Array) -> Array:
    try:
        return system.solve(values, system.residual(values))
    except SINGULAR:
        raise InputError(
            "the linearised equation is singular: the boundary conditions leave its solution undetermined"
        ) from None


def _centred(system: System, values: Array) -> Array:
    """Of the solutions that differ by a constant, the one of mean zero."""
    if not system.equation.singular:
        return values
    mean = values
    for axis in system.axes:
        mean = np.tensordot(axis.weights, mean, axes=1) / axis.weights.sum()
    return np.asarray(values - mean)


def _compatible(solution: Solution) -> Solution:
    forcing = max(_size(solution.system.forcing), _size(solution.system.residual(solution.system.start())))
    if solution.imbalance > COMPATIBLE * forcing:
        raise InputError(
            f"forcing and Neumann data do not balance: the forcing is {solution.imbalance:.6g} away, in the mean, from "
            "what the fluxes through the boundary allow; correct one of them, or give a value somewhere"
        )
    return solution


def _size(values: Array) -> float:
    return float(np.abs(values).max(initial=0.0))
