"""Posed problems: what follows from a file, by hand; and bad problems, each with its message."""

from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import GridField, LabelMap, Problem
from voxfield.errors import InputError
from voxfield.pde.problem import PosedProblem, exact, pose
from voxfield.pde.problem._waves import highest, require_carried
from voxfield.pde.problem.operator import Flux, Operator, Term

WALLS = {"all": {"dirichlet": 0}}


def statement(**changed: Any) -> dict[str, Any]:
    """Poisson on [0, 1] with zero walls, changed; None drops a key."""
    base = {"unit": "1", "box": {"x": [0, 1]}, "length_unit": "m", "operator": "poisson", "boundary": WALLS}
    return {key: value for key, value in {**base, **changed}.items() if value is not None}


def posed(**changed: Any) -> PosedProblem:
    return pose(Problem(statement(**changed)))


TIMED = {"time": [0, 1], "time_unit": "s", "initial": "sin(pi*x)"}


@pytest.mark.parametrize(
    ("given", "operator"),
    [
        ("poisson", Operator((Term(1.0, (2,)),))),
        ({"helmholtz": {"wavenumber": 3}}, Operator((Term(1.0, (2,)), Term(9.0, (0,))))),
        ("allen_cahn", Operator((Term(1.0, (2,)), Term(-1.0, (0,))), {3: 1.0})),
        ({"u_xx": 1, "u^3": 1, "u": -1}, Operator((Term(1.0, (2,)), Term(-1.0, (0,))), {3: 1.0})),
    ],
)
def test_operators_without_time(given: Any, operator: Operator) -> None:
    assert posed(operator=given).operator == operator


@pytest.mark.parametrize(
    ("given", "operator"),
    [
        ({"diffusion": {"diffusivity": 2}}, Operator((Term(1.0, (0, 1)), Term(-2.0, (2, 0))))),
        (
            {"burgers": {"viscosity": "0.01/pi"}},
            Operator((Term(1.0, (0, 1)), Term(-0.01 / np.pi, (2, 0))), flux=(Flux(0.5, 2, 0),)),
        ),
        (
            {"u_t": 1, "(u^2)_x": 0.5, "u_xx": -0.1},
            Operator((Term(1.0, (0, 1)), Term(-0.1, (2, 0))), flux=(Flux(0.5, 2, 0),)),
        ),
        (
            {"reaction_diffusion": {"rate": 4}},
            Operator((Term(1.0, (0, 1)), Term(-1.0, (2, 0)), Term(-4.0, (0, 0))), {2: 4.0}),
        ),
    ],
)
def test_operators_in_time(given: Any, operator: Operator) -> None:
    assert posed(operator=given, **TIMED).operator == operator


def test_kdv_and_schroedinger_are_periodic() -> None:
    kdv = posed(operator="kdv", boundary={"x": "periodic"}, **TIMED).operator
    assert kdv == Operator((Term(1.0, (0, 1)), Term(1.0, (3, 0))), flux=(Flux(3.0, 2, 0),))
    assert posed(operator="schroedinger", boundary={"x": "periodic"}, **TIMED).operator.complex_valued


def test_a_manufactured_problem_by_hand() -> None:
    """u = x sin 3y: lap u + u^3 - u = -9 x sin 3y + (x sin 3y)^3 - x sin 3y; du/dn at x = 0 is -sin 3y."""
    problem = posed(
        box={"x": [0, 1], "y": [0, 2]},
        operator="allen_cahn",
        manufactured="x*sin(3*y)",
        boundary={"x-": "neumann", "all": "dirichlet"},
    )
    x, y = np.ix_(np.linspace(0, 1, 5), np.linspace(0, 2, 6))
    u = x * np.sin(3 * y)
    np.testing.assert_allclose(problem.forcing(x, y), -10 * u + u**3, atol=1e-12)
    low = np.zeros((1, 1))
    np.testing.assert_allclose(problem.conditions["x-"].function(low, y), -np.sin(3 * y))
    np.testing.assert_allclose(problem.conditions["y+"].function(x, low + 2), x * np.sin(6))
    assert problem.conditions["x-"].kind == "neumann"


def test_a_variable_conductivity_is_differentiated() -> None:
    """(x^2 u')' with u = x^3 is 3 (x^4)' = 12 x^3."""
    problem = posed(operator={"div(a grad u)": "x**2"}, manufactured="x**3", boundary={"all": "dirichlet"})
    x = np.linspace(0, 1, 5)
    np.testing.assert_allclose(problem.forcing(x), 12 * x**3, atol=1e-14)


def test_solvers_do_not_see_the_solution() -> None:
    problem = Problem(statement(manufactured="sin(pi*x)", boundary={"all": "dirichlet"}))
    assert not any("exact" in name or "manufactured" in name for name in vars(pose(problem)))
    found = exact(problem)
    assert found is not None
    np.testing.assert_allclose(found(np.array([0.5])), 1)


def test_given_grids_are_interpolated() -> None:
    x = np.linspace(-0.5, 2, 40)
    field = GridField({"x": x}, x**3 - x, name="f", unit="1", units={"x": "m"})
    problem = pose(Problem(statement(forcing="given")), grids={"forcing": field})
    at = np.linspace(0, 1, 7)
    np.testing.assert_allclose(problem.forcing(at), at**3 - at, atol=1e-12)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"length_unit": None}, "no unit is stated for the axes of the box"),
    ({**TIMED, "time_unit": None, "operator": "diffusion"}, "no unit is stated for time"),
    ({"boundary": {"x-": {"dirichlet": 0}}}, r"face x\+ has no boundary condition"),
    ({"boundary": {"x-": {"dirichlet": 0}, "x+": "free"}}, r"needs 2 condition\(s\)"),
    ({"boundary": {"xx": {"dirichlet": 0}}}, "boundary 'xx' is unknown"),
    ({"boundary": {"all": {"robin": 0}}}, "expected {dirichlet: VALUE}"),
    ({"boundary": {"all": "dirichlet"}}, "has no value"),
    ({"manufactured": "x"}, "has a value, which a manufactured solution gives"),
    ({"manufactured": "x", "forcing": 1, "boundary": {"all": "dirichlet"}}, "forcing is given, but follows"),
    ({"manufactured": "x", "boundary": {"x": "periodic"}}, "differs by 1 between"),
    ({"forcing": 1, "boundary": {"all": {"neumann": 0}}}, "Neumann data are incompatible.*integrates to 1 .* to 0 "),
    ({"forcing": 1, "boundary": {"x": "periodic"}}, "Neumann data are incompatible"),
    ({"forcing": "given"}, "forcing is `given`, but there is no such input"),
    ({"box": {"t": [0, 1]}}, "one small letter other than t"),
    ({"box": {"x": [1, 0]}}, "its low end must lie below"),
    ({"box": {"x": [0, "1/0"]}}, "axis x is '1/0', which can not be computed"),
    ({"box": {}}, "the box has 0 axes"),
    ({"unknown": "x"}, "called 'x' like an axis"),
    ({"operator": "poison"}, "operator 'poison' is unknown; the nearest known one is 'poisson'"),
    ({"operator": "diffusion"}, "operator diffusion needs time"),
    ({"operator": {"burgers": {}}, **TIMED}, "lacks viscosity"),
    ({"operator": {"advection": {}}, **TIMED}, "lacks velocity_x"),
    ({"operator": {"u_yy": 1}}, "differentiates along y; the axes are x"),
    ({"operator": {"u_xxxxxxxx": 1}}, "of order 8; expected at most 4"),
    ({"operator": {"u^99999999": 1}}, "has the power 99999999"),
    ({"operator": {"sin(u)": 1}}, "is not understood; terms look like"),
    ({"operator": {"u_xx": "x"}}, "the coefficient of u_xx: name 'x' is unknown"),
    ({"operator": {"u_xx": 1}, "time": [0, 1], "time_unit": "s"}, "derivatives in time are none"),
    ({"operator": {"u_tt": 1, "u_xx": -1}, "time": [0, 1], "time_unit": "s"}, "expected u_t alone"),
    ({"operator": "diffusion", "time": [0, 1], "time_unit": "s"}, "no initial value"),
    ({"initial": "x"}, "there is no time"),
    ({"operator": {"u_xxx": 1}}, "of order 3 along x; write `x: periodic`"),
    ({"voxels": True, "box": None, "length_unit": None}, "no mask was given"),
    ({"forcing": "x**x"}, "exponent is no constant"),
]


@pytest.mark.parametrize(("changed", "told"), BAD, ids=[told[:30] for _, told in BAD])
def test_bad_problems(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        posed(**changed)


def test_a_forcing_that_is_not_finite_is_told_with_its_place() -> None:
    with pytest.raises(InputError, match=r"the forcing \(1/x\) is inf at x = 0; expected finite numbers"):
        posed(forcing="1/x").forcing(np.linspace(0, 1, 3))
    x = np.linspace(0, 1, 5)
    field = GridField({"x": x}, np.where(x > 0.8, np.nan, x), name="f", unit="1", units={"x": "m"})
    with pytest.raises(InputError, match=r"the forcing has 1 values that are not finite \(NaN\)"):
        pose(Problem(statement(forcing="given")), grids={"forcing": field})


def test_a_grid_that_does_not_cover_the_box_is_refused() -> None:
    field = GridField({"x": [0, 0.5]}, [0.0, 1.0], name="f", unit="1", units={"x": "m"})
    with pytest.raises(InputError, match=r"given on x = 0 to 0.5 \(2 points\); expected at least 0 to 1"):
        pose(Problem(statement(forcing="given")), grids={"forcing": field})
    with pytest.raises(InputError, match="write `forcing: given`"):
        pose(Problem(statement()), grids={"forcing": field})


def test_a_mask_without_voxels_is_refused() -> None:
    mask = LabelMap(np.zeros((3, 3, 3), dtype=np.uint8), np.eye(4))
    with pytest.raises(InputError, match="the mask has no voxel above 0"):
        pose(Problem(statement(voxels=True, box=None, length_unit=None)), mask=mask)


def test_neumann_data_that_balance_are_taken() -> None:
    """u = cos pi x cos pi y + x: fluxes of 1 in and out; and with a conductivity."""
    posed(box={"x": [0, 1], "y": [0, 1]}, manufactured="cos(pi*x)*cos(pi*y) + x", boundary={"all": "neumann"})
    posed(operator={"div(a grad u)": "2 + sin(x)"}, manufactured="x**3 + exp(x)", boundary={"all": "neumann"})


def test_the_frequency_of_a_problem_is_found() -> None:
    problem = posed(box={"x": [0, "2*pi"]}, manufactured="sin(6*x)*cos(100*x)", boundary={"all": "dirichlet"})
    assert highest(problem)["x"].number == pytest.approx(106, abs=2)
    cubic = posed(
        box={"x": [0, "2*pi"]}, operator="allen_cahn", manufactured="sin(100*x)", boundary={"all": "dirichlet"}
    )
    assert highest(cubic)["x"].number == pytest.approx(100, abs=2)
    assert highest(posed(forcing=1))["x"].number == 0


def test_a_frequency_that_a_grid_can_not_carry_is_named_with_a_grid_that_would() -> None:
    problem = posed(forcing="sin(500*x)")
    told = r"the forcing has 80 waves a unit of x \(m\), 80 over the axis; a grid of 100 points carries 50"
    with pytest.raises(InputError, match=told + r" of them; one that would: points = \[161\]"):
        require_carried(problem, [100], 2)
    require_carried(problem, [170], 2)
