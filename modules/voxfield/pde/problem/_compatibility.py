"""Whether Neumann data can be met: what is forced inside a box has to leave through its faces.

Where only slopes of u are known, sum_i c_i u_ii + div(a grad u) = f determines u up to a constant, and has a solution
only if the integral of f equals that of the fluxes over the boundary (Gauss).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem._domain import Axis
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem.operator import Array

PANELS = {1: 1024, 2: 128, 3: 16}  # Gauss panels along each axis, by the number of axes
NODES = 4
TOLERANCE = 1e-6


def require_balance(problem: PosedProblem) -> None:
    """Raise InputError where forcing and Neumann data of a problem without any value of u do not balance."""
    if problem.determined or not _divergence_form(problem):
        return
    space = problem.box.axes
    inside, size = _integral(problem.forcing, [_panels(axis, len(space)) for axis in space])
    outside = 0.0
    for face, condition in problem.conditions.items():
        flux, own = _integral(_flux(problem, face, condition.function), _face(space, face))
        outside, size = outside + flux, size + own
    if abs(inside - outside) > TOLERANCE * size:
        raise InputError(
            f"the Neumann data are incompatible: the forcing integrates to {inside:.6g} over the box, the fluxes to "
            f"{outside:.6g} over its faces; expected equal numbers; change one, or give a Dirichlet value somewhere"
        )


def _divergence_form(problem: PosedProblem) -> bool:
    pure = all(sorted(term.order)[-1] == sum(term.order) == 2 for term in problem.operator.terms if term.coefficient)
    return problem.operator.linear and pure


def _flux(problem: PosedProblem, face: str, slope: Callable[..., Array]) -> Callable[..., Array]:
    """c du/dn (+ a du/dn) on a face."""
    number = problem.box.names.index(face[:-1])
    constant = sum(complex(term.coefficient).real for term in problem.operator.terms if term.order[number] == 2)
    conductivity = problem.operator.conductivity

    def flux(*at: Array) -> Array:
        return np.asarray(slope(*at) * (constant + (0 if conductivity is None else conductivity(*at))))

    return flux


def _panels(axis: Axis, axes: int) -> tuple[Array, Array]:
    """Composite Gauss points and weights."""
    unit, weights = np.polynomial.legendre.leggauss(NODES)
    edges = np.linspace(axis.low, axis.high, PANELS[axes] + 1)
    half = np.diff(edges) / 2
    return (edges[:-1, None] + half[:, None] * (1 + unit)).ravel(), (half[:, None] * weights).ravel()


def _face(space: tuple[Axis, ...], face: str) -> list[tuple[Array, Array]]:
    return [
        (np.array([axis.low if face[-1] == "-" else axis.high]), np.ones(1))
        if axis.name == face[:-1]
        else _panels(axis, len(space))
        for axis in space
    ]


def _integral(function: Callable[..., Array], rules: list[tuple[Array, Array]]) -> tuple[float, float]:
    """Integral of a function, and of its absolute value."""
    values = function(*np.ix_(*(points for points, _ in rules)))
    sizes = np.abs(values)
    for _, weights in reversed(rules):
        values, sizes = values @ weights, sizes @ weights
    return float(values), float(sizes)
