"""Every solver behind its name: manufactured solutions are found from what a problem tells, and misfits are said."""

from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import GridField, Problem, Table
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.pde import solve
from voxfield.pde.problem import pose
from voxfield.pde.solvers import SOLVERS, solver

BASE = {"unit": "1", "box": {"x": [0, 1]}, "length_unit": "m", "operator": "poisson", "boundary": {"all": "dirichlet"}}
CLOCK = {"time": [0, 0.5], "time_unit": "s"}
RING = {"boundary": {"x": "periodic"}}
CASES: list[tuple[str, dict[str, Any], float]] = [
    ("chebyshev", {"manufactured": "exp(x)*sin(9*x)", "boundary": {"x-": "neumann", "x+": "dirichlet"}}, 1e-10),
    ("chebyshev", {"manufactured": "cos(pi*x) + x", "boundary": {"all": "neumann"}}, 1e-10),
    ("chebyshev", {"operator": {"div(a grad u)": "1 + x**2"}, "manufactured": "sin(9*x)"}, 1e-10),
    (
        "chebyshev",
        {
            "operator": {"advection": {"velocity_x": 2}},
            "manufactured": "sin(6*(x - 2*t))",
            "boundary": {"x-": "dirichlet", "x+": "free"},
            **CLOCK,
        },
        1e-10,
    ),
    (
        "chebyshev",
        {"operator": {"u_xx": 1, "u_x": 30}, "manufactured": "exp(x)*sin(3*x)", "boundary": {"all": "neumann"}},
        1e-10,
    ),
    (
        "chebyshev",
        {"operator": {"u_xx": 1, "u^3": -1}, "manufactured": "2 + sin(3*x)", "boundary": {"all": "neumann"}},
        1e-10,
    ),
    ("fourier", {"operator": {"u_xx": 1, "u_x": 2, "u": -3}, "manufactured": "exp(sin(2*pi*x))", **RING}, 1e-10),
    ("fourier", {"operator": "diffusion", "manufactured": "exp(-t)*sin(2*pi*x)", **RING, **CLOCK}, 1e-10),
    (
        "etd",
        {"operator": {"burgers": {"viscosity": 0.1}}, "manufactured": "2 + cos(t)*sin(2*pi*x)", **RING, **CLOCK},
        1e-8,
    ),
    ("radau", {"operator": "allen_cahn", "manufactured": "cos(t)*sin(4*x)", **CLOCK}, 1e-6),
    ("gp_hm", {"manufactured": "sin(20*x) + x", "boundary": {"x-": "neumann", "x+": "dirichlet"}}, 1e-3),
]


@pytest.mark.parametrize(
    ("name", "changed", "error"), CASES, ids=[f"{n}-{name}" for n, (name, _, _) in enumerate(CASES)]
)
def test_a_solver_finds_what_it_was_not_shown(name: str, changed: dict[str, Any], error: float) -> None:
    samples = (23, 5) if "time" in changed else (23,)
    points = (48,) if name == "gp_hm" else ()
    made = solve(Problem({**BASE, **changed}), solver=name, points=points, samples=samples)
    told = made.metrics.values
    assert told["error_l2"] < error
    assert told["error_estimate"] < 10 * error
    assert made.field is not None
    assert (made.field.sd is not None) == (name == "gp_hm")


def test_korteweg_de_vries_in_space_and_time_ends_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """GMRES does not converge on it, on no grid; without a bound the grids would go on doubling for an hour."""
    monkeypatch.setattr("voxfield.pde.spectral._system.MOST_WORK", 1e7)
    statement = {**BASE, **RING, **CLOCK, "operator": "kdv", "box": {"x": [-15, 15]}, "initial": "2*sech(x)**2"}
    with pytest.raises(InputError, match=r"steps of GMRES on .* took more than 1e\+07 operations .* \(solver etd"):
        solve(Problem(statement), solver="fourier")


def test_two_fronts_between_insulated_ends() -> None:
    """A tumour that grows to both sides: each front is the steeper where the points are not. etd follows no front."""
    statement = {
        **BASE, "box": {"x": [0, 100]}, "time": [0, 30], "time_unit": "d", "boundary": {"all": {"neumann": 0}},
        "operator": {"reaction_diffusion": {"diffusivity": 0.3, "rate": 0.1}}, "initial": "0.4*exp(-((x - 50)/8)**2)",
    }  # fmt: skip
    found = solve(Problem(statement), solver="radau", samples=(41, 3)).field
    other = solve(Problem({**statement, **RING}), solver="etd", samples=(41, 3)).field
    assert found is not None
    assert other is not None
    np.testing.assert_allclose(found.values, other.values, atol=1e-7)


def test_steps_without_end_end_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxfield.pde.stepping._fronts.MOST_WORK", 1e8)
    statement = {**BASE, **CLOCK, "operator": "allen_cahn", "manufactured": "cos(t)*sin(4*x)"}
    with pytest.raises(InputError, match=r"implicit steps took more than .* \(solver finite_volume\)"):
        solve(Problem(statement), solver="radau", samples=(9, 5))


def test_a_complex_unknown() -> None:
    """Schroedinger's equation from u = 1: u = exp(it)."""
    statement = {**BASE, **RING, **CLOCK, "operator": "schroedinger", "initial": 1}
    made = solve(Problem(statement), solver="etd", samples=(5, 6)).field
    assert made is not None
    np.testing.assert_allclose(made.values, np.tile(np.exp(1j * np.linspace(0, 0.5, 6)), (5, 1)), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("chebyshev", RING | {"manufactured": "sin(2*pi*x)"}, "use fourier"),
        ("etd", {"manufactured": "x"}, "steps in time"),
        ("etd", {"manufactured": "x", "operator": "diffusion", **CLOCK}, "an axis has ends"),
        ("radau", {"manufactured": "x"}, "steps in time"),
        ("radau", {"manufactured": "1", "operator": "diffusion", **RING, **CLOCK}, "a condition at each end"),
        ("gp_hm", {"manufactured": "x", "operator": {"div(a grad u)": "1 + x"}}, "constant real coefficients"),
        ("gp_hm", {"manufactured": "1", "boundary": {"all": "neumann"}}, "nothing but slopes"),
    ],
)
def test_what_does_not_fit_is_said(name: str, changed: dict[str, Any], reason: str) -> None:
    assert reason in solver(name).fits(pose(Problem({**BASE, **changed})))


def test_a_measurement_stands_for_a_boundary_value() -> None:
    """u'' given, u known at one end, and measured twice inside: a line through what is known would do."""
    statement = {
        **BASE, "forcing": "-400*sin(20*x)", "observations": "given",
        "boundary": {"x-": {"dirichlet": 0}, "x+": "free"},
    }  # fmt: skip
    places = np.array([0.4, 0.9])
    table = Table({"x": places, "value": np.sin(20 * places) + places, "sd": [1e-3, 1e-3]})
    made = solve(Problem(statement), solver="gp_hm", points=(48,), samples=(41,), observations=table).field
    assert made is not None
    assert made.sd is not None
    x = made.axes["x"]
    assert np.abs(made.values - np.sin(20 * x) - x).max() < 5e-3
    assert 5e-4 < made.sd[-1] < 5e-3  # the noise of the measurement, carried to the free end
    assert "takes no observations" in solver("chebyshev").fits(pose(Problem(statement), observations=table))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"x": [0.5], "value": [1.0]}, "sd"),
        ({"x": [1.5], "value": [1.0], "sd": [0.1]}, "row 1 lies at x = 1.5; expected 0 to 1"),
        ({"x": [0.5, 0.6], "value": [1.0, 1.0], "sd": [0.1, 0.2]}, "expected one number above 0"),
        ({"x": [0.5, 0.6], "value": [1.0, None], "sd": [0.1, 0.1]}, "row 2 has a gap"),
    ],
)
def test_observations_that_can_not_be_used(columns: dict[str, Any], told: str) -> None:
    statement = {**BASE, "observations": "given", "boundary": {"x-": {"dirichlet": 0}, "x+": "free"}}
    with pytest.raises(InputError, match=told):
        pose(Problem(statement), observations=Table(columns))
    with pytest.raises(SettingsError, match="no such input; give both or none"):
        pose(Problem(statement))


def test_a_solver_without_a_grid_takes_none() -> None:
    problem = pose(Problem({**BASE, "manufactured": "x", "operator": "diffusion", **CLOCK}))
    with pytest.raises(SettingsError, match="chooses its own"):
        solver("radau").solve(problem, (10, 10), [np.zeros(1), np.zeros(2)], Context())


def test_the_card_names_every_solver() -> None:
    """What `voxfield describe pde.solve` says of the setting."""
    assert all(name in (solve.__doc__ or "") for name in SOLVERS)


def test_a_forcing_that_a_process_takes_for_noise_is_told() -> None:
    """The evidence of white noise is that it is white noise: the solution is flat, and not without a word."""
    x = np.linspace(0, 1, 101)
    forcing = GridField({"x": x}, np.random.default_rng(0).normal(size=101), name="f", unit="1/m^2", units={"x": "m"})
    statement = {**BASE, "forcing": "given", "boundary": {"all": {"dirichlet": 0}}}
    ctx = Context()
    solve(Problem(statement), forcing=forcing, solver="gp_hm", points=(161,), samples=(41,), ctx=ctx)
    assert "forcing-taken-for-noise" in ctx.findings.codes()
