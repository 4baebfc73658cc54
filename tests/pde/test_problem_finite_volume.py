"""Finite volumes: second order on manufactured problems of every kind, symmetry, balance, and what does not fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import Problem
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.pde.finite_volume._discretisation import Discretisation
from voxfield.pde.finite_volume._faces import CellAxis
from voxfield.pde.problem import exact, pose
from voxfield.pde.problem.operator import Operator, Term
from voxfield.pde.solvers import solver

SQUARE = {"x": [0, 1], "y": [0, 2]}
CUBE = {"x": [0, 1], "y": [0, 2], "z": [-1, 1]}
CLOCK = {"time": [0, 1], "time_unit": "s"}
D = {"all": "dirichlet"}
PROBLEMS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "poisson": ({"operator": "poisson", "manufactured": "sin(3*x) + x**3"}, (40,)),
    "neumann at one end": (
        {"operator": "poisson", "manufactured": "exp(x)", "boundary": {"x-": "neumann", "x+": "dirichlet"}},
        (40,),
    ),
    "neumann everywhere": (
        {"operator": "poisson", "manufactured": "cos(pi*x) + x", "boundary": {"all": "neumann"}},
        (40,),
    ),
    "periodic": (
        {"operator": {"u_xx": 1, "u_x": 3, "u": -2}, "manufactured": "sin(2*pi*x)", "boundary": {"x": "periodic"}},
        (40,),
    ),
    "helmholtz": ({"operator": {"helmholtz": {"wavenumber": 5}}, "manufactured": "sin(4*x)*x"}, (60,)),
    "conductivity": ({"operator": {"div(a grad u)": "1 + x**2"}, "manufactured": "sin(3*x)"}, (40,)),
    "reaction": ({"operator": "allen_cahn", "manufactured": "sin(3*x)"}, (40,)),
    "steady burgers": ({"operator": {"(u^2)_x": 0.5, "u_xx": -0.1}, "manufactured": "2 + sin(3*x)"}, (60,)),
    "square": ({"operator": "poisson", "box": SQUARE, "manufactured": "sin(2*x)*cos(3*y)"}, (24, 40)),
    "square, conductivity": (
        {
            "operator": {"div(a grad u)": "1 + x*y"},
            "box": SQUARE,
            "manufactured": "sin(2*x)*cos(y)",
            "boundary": {"y+": "neumann", "all": "dirichlet"},
        },
        (24, 40),
    ),
    "square, neumann": (
        {"operator": "poisson", "box": SQUARE, "manufactured": "cos(pi*x)*cos(pi*y)", "boundary": {"all": "neumann"}},
        (24, 40),
    ),
    "square, periodic": (
        {
            "operator": "poisson",
            "box": SQUARE,
            "manufactured": "sin(2*pi*x)*cos(pi*y)",
            "boundary": {"x": "periodic", "y": "periodic"},
        },
        (24, 32),
    ),
    "square, reaction": ({"operator": "allen_cahn", "box": SQUARE, "manufactured": "sin(2*x)*cos(y)"}, (24, 40)),
    "cube": ({"operator": "poisson", "box": CUBE, "manufactured": "sin(2*x)*cos(y)*exp(z)"}, (14, 20, 20)),
    "heat": ({"operator": "diffusion", "manufactured": "exp(-t)*sin(2*x)", **CLOCK}, (30, 30)),
    "advection": (
        {
            "operator": {"advection": {"velocity_x": 2}},
            "manufactured": "sin(3*(x - 2*t))",
            "boundary": {"x-": "dirichlet", "x+": "free"},
            **CLOCK,
        },
        (60, 80),
    ),
    "burgers": ({"operator": {"burgers": {"viscosity": 0.1}}, "manufactured": "2 + sin(2*x - t)", **CLOCK}, (40, 40)),
    "fisher, periodic": (
        {
            "operator": {"reaction_diffusion": {"rate": 2}},
            "manufactured": "cos(2*pi*x)*cos(t)",
            "boundary": {"x": "periodic"},
            **CLOCK,
        },
        (40, 40),
    ),
}


def problem_of(changed: Mapping[str, Any]) -> Problem:
    return Problem({"unit": "1", "box": {"x": [0, 1]}, "length_unit": "m", "boundary": D, **changed})


def error(changed: Mapping[str, Any], points: tuple[int, ...]) -> float:
    """Root mean square error at places that are on no grid; of what is known up to a constant, without its mean."""
    problem = problem_of(changed)
    posed, truth = pose(problem), exact(problem)
    assert truth is not None
    assert solver("finite_volume").fits(posed) == ""
    at = [np.linspace(axis.low, axis.high, 23) for axis in posed.box.axes]
    values = solver("finite_volume").solve(posed, points, at, Context()).values
    difference = values - truth(*np.ix_(*at))
    return float(np.std(difference) if not posed.determined else np.sqrt(np.mean(difference**2)))


@pytest.mark.parametrize("name", PROBLEMS)
def test_errors_fall_with_the_square_of_the_width(name: str) -> None:
    changed, points = PROBLEMS[name]
    errors = [error(changed, tuple(factor * n for n in points)) for factor in (1, 2)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_nothing_is_lost_between_periodic_ends() -> None:
    """A conserved quantity keeps its integral: the mean of Burgers' u without forcing."""
    posed = pose(
        Problem({
            "unit": "m/s", "box": {"x": [0, 1]}, "length_unit": "m", "operator": {"burgers": {"viscosity": 0.01}},
            "initial": "1 + 0.5*sin(2*pi*x)", "boundary": {"x": "periodic"}, **CLOCK,
        })
    )  # fmt: skip
    at = [(np.arange(64) + 0.5) / 64, np.array([0.0, 1.0])]
    found = solver("finite_volume").solve(posed, (64, 64), at, Context()).values
    np.testing.assert_allclose(found.mean(axis=0), 1, atol=1e-9)


def test_a_grid_below_the_frequency_is_refused() -> None:
    posed = pose(problem_of({"operator": "poisson", "manufactured": "sin(500*x)"}))
    with pytest.raises(InputError, match=r"a grid of 100 points carries 50 of them; one that would"):
        solver("finite_volume").solve(posed, (100,), [np.linspace(0, 1, 5)], Context())
    assert solver("finite_volume").solve(posed, None, [np.linspace(0, 1, 5)], Context()).points[0] > 2000


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"operator": "kdv", "boundary": {"x": "periodic"}, "initial": "sin(2*pi*x)", **CLOCK},
            "first and second order",
        ),
        ({"operator": "schroedinger", "boundary": {"x": "periodic"}, "initial": "1", **CLOCK}, "its unknown is real"),
        ({"operator": {"u_xx": 1, "u_x": 1}, "boundary": {"x": "periodic"}}, "not symmetric"),
        (
            {"operator": {"u_xx": 1, "u_yy": 1, "u_xy": 0.5}, "box": SQUARE, "manufactured": "x*y"},
            "along one axis each; chebyshev",
        ),
    ],
)
def test_what_does_not_fit_is_said(changed: dict[str, Any], reason: str) -> None:
    assert reason in solver("finite_volume").fits(pose(problem_of(changed)))


def test_a_mixed_derivative_is_not_left_out_in_silence() -> None:
    axes = (CellAxis(0, 1, 8, ("dirichlet", "dirichlet")), CellAxis(0, 1, 8, ("dirichlet", "dirichlet")))
    mixed = Operator((Term(1.0, (2, 0)), Term(1.0, (0, 2)), Term(0.5, (1, 1))))
    with pytest.raises(InputError, match=r"derivative \(1, 1\).* turn the axes"):
        Discretisation(mixed, axes, {})
    Discretisation(Operator((Term(1.0, (2, 0)), Term(0.0, (1, 1)))), axes, {})


def test_factorisations_are_bounded_by_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Burgers on 40 cells: 1300 * 40 operations a Newton step."""
    changed, points = PROBLEMS["burgers"]
    monkeypatch.setattr("voxfield.pde.finite_volume._solve.MOST_WORK", 1e6)
    with pytest.raises(InputError, match=r"factorisations for 40 cells took more than 1e\+06 .* give fewer points"):
        error(changed, points)
