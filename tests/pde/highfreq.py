"""The twelve manufactured equations of GP-HM (Fang et al., ICLR 2024): operator, box, solution, forcing by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import cos, pi, sin

from voxfield.pde.problem.operator import Operator, Term
from voxfield.pde.spectral import Equation, Interval, dirichlet

Function = Callable[..., np.ndarray]


class Case(NamedTuple):
    """An equation and the solution that only the judging may look at."""

    equation: Equation
    exact: Function


def _one(high: float, u: Function, second: Function, *, allen_cahn: bool = False) -> Case:
    terms = (Term(1.0, (2,)), Term(-1.0, (0,))) if allen_cahn else (Term(1.0, (2,)),)
    forcing = (lambda x: second(x) + u(x) * (u(x) ** 2 - 1)) if allen_cahn else second
    conditions = {(0, 0): dirichlet(u), (0, 1): dirichlet(u)}
    return Case(Equation(Operator(terms, {3: 1.0} if allen_cahn else {}), (Interval(0, high),), forcing, conditions), u)


def _two(high: float, u: Function, laplacian: Function, *, allen_cahn: bool = False) -> Case:
    terms = (Term(1.0, (2, 0)), Term(1.0, (0, 2)), *([Term(-1.0, (0, 0))] if allen_cahn else []))
    forcing = (lambda x, y: laplacian(x, y) + u(x, y) * (u(x, y) ** 2 - 1)) if allen_cahn else laplacian
    conditions = {(0, 0): dirichlet(u), (0, 1): dirichlet(u), (1, 0): dirichlet(u), (1, 1): dirichlet(u)}
    box = (Interval(0, high), Interval(0, high))
    return Case(Equation(Operator(terms, {3: 1.0} if allen_cahn else {}), box, forcing, conditions), u)


def _advection() -> Case:
    """u_t + 200 u_x = 0 from the inflow at x = 0 and the initial value alone."""

    def u(x: np.ndarray, t: np.ndarray) -> np.ndarray:
        return sin(x - 200 * t)

    operator = Operator((Term(200.0, (1, 0)), Term(1.0, (0, 1))))
    box = (Interval(0, 1), Interval(0, 1, "time"))
    return Case(Equation(operator, box, 0.0, {(0, 0): dirichlet(u), (1, 0): dirichlet(u)}), u)


def _mix(x: np.ndarray) -> np.ndarray:
    return sin(x) + 0.1 * sin(20 * x) + cos(100 * x)


def _mix_second(x: np.ndarray) -> np.ndarray:
    return -sin(x) - 40 * sin(20 * x) - 1e4 * cos(100 * x)


_SINGLE = (2 * pi, lambda x: sin(100 * x), lambda x: -1e4 * sin(100 * x))
_SIN_COS = (
    2 * pi,
    lambda x: sin(6 * x) * cos(100 * x),
    lambda x: -10036 * sin(6 * x) * cos(100 * x) - 1200 * cos(6 * x) * sin(100 * x),
)

CASES: dict[str, Case] = {
    "poisson_1d-single_sin": _one(*_SINGLE),
    "poisson_1d-sin_cos": _one(*_SIN_COS),
    "poisson_1d-x_time_sinx": _one(
        2 * pi, lambda x: x * sin(200 * x), lambda x: 400 * cos(200 * x) - 4e4 * x * sin(200 * x)
    ),
    "poisson_1d-mix_sin": _one(
        1.0,
        lambda x: sin(x) + 0.1 * sin(20 * x) + 0.05 * sin(100 * x),
        lambda x: -sin(x) - 40 * sin(20 * x) - 500 * sin(100 * x),
    ),
    "poisson_1d-x2_add_sinx": _one(
        1.0, lambda x: sin(500 * x) - 2 * (x - 0.5) ** 2, lambda x: -25e4 * sin(500 * x) - 4
    ),
    "allencahn_1d-single_sin": _one(*_SINGLE, allen_cahn=True),
    "allencahn_1d-sin_cos": _one(*_SIN_COS, allen_cahn=True),
    "poisson_2d-sin_sin": _two(
        2 * pi, lambda x, y: sin(100 * x) * sin(100 * y), lambda x, y: -2e4 * sin(100 * x) * sin(100 * y)
    ),
    "poisson_2d-sin_cos": _two(
        2 * pi, lambda x, y: sin(100 * x) * cos(100 * y), lambda x, y: -2e4 * sin(100 * x) * cos(100 * y)
    ),
    "poisson_2d-sin_add_cos": _two(
        2 * pi,
        lambda x, y: sin(6 * x) * cos(20 * x) + sin(6 * y) * cos(20 * y),
        lambda x, y: sum(-436 * sin(6 * z) * cos(20 * z) - 240 * cos(6 * z) * sin(20 * z) for z in (x, y)),
    ),
    "allencahn_2d-mix_sincos": _two(
        1.0,
        lambda x, y: _mix(x) * _mix(y),
        lambda x, y: _mix_second(x) * _mix(y) + _mix(x) * _mix_second(y),
        allen_cahn=True,
    ),
    "advection-sin": _advection(),
}


def relative_error(found: np.ndarray, exact: np.ndarray) -> float:
    """Relative L2 of two arrays."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
