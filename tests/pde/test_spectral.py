"""Spectral collocation: exact solutions, exponential convergence, all kinds of conditions, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import cos, exp, pi, sin

from pde.highfreq import CASES, relative_error
from voxfield.errors import InputError
from voxfield.pde.problem.operator import Flux, Operator, Term
from voxfield.pde.spectral import Condition, Equation, Interval, Solution, dirichlet, error_estimate, neumann, solve

Function = Callable[..., np.ndarray]
SIDES = ((0, 0), (0, 1), (1, 0), (1, 1))


def laplacian(axes: int, *more: Term) -> Operator:
    return Operator((*(Term(1.0, tuple(2 * int(i == k) for i in range(axes))) for k in range(axes)), *more))


def error(solution: Solution, exact: Function, count: int = 40) -> float:
    """Relative L2 on an equispaced grid, whose points are no nodes."""
    points = [np.linspace(interval.low, interval.high, count) for interval in solution.system.equation.box]
    values = np.broadcast_to(exact(*np.ix_(*points)), [count] * len(points))
    return relative_error(solution.on(*points), values)


@pytest.mark.parametrize("name", CASES)
def test_the_twelve_equations_to_nine_digits(name: str) -> None:
    equation, exact = CASES[name]
    solution = solve(equation)
    assert error(solution, exact, 300) <= 1e-9
    assert solution.residual <= 1e-9
    assert solution.iterations <= 6


@pytest.mark.parametrize(("name", "coarse"), [("poisson_1d-sin_cos", 0.8), ("advection-sin", 0.72)])
def test_the_error_estimate_is_of_the_size_of_the_error(name: str, coarse: float) -> None:
    equation, exact = CASES[name]
    counts = solve(equation).values.shape
    for share, low, high in ((1.0, 0.0, 1e-9), (coarse, 1e-8, 1e-1)):
        solution = solve(equation, [int(np.ceil(count * share)) for count in counts])
        estimate, truth = error_estimate(solution), error(solution, exact, 300)
        assert low <= estimate <= high
        assert truth <= 5 * estimate + 1e-9


def test_convergence_is_exponential() -> None:
    """1 / (1 + 25 x^2) has poles at +-i/5, so errors fall like rho^-n with rho = (1 + sqrt 26) / 5."""

    def u(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + 25 * x**2)

    def second(x: np.ndarray) -> np.ndarray:
        return 5000 * x**2 * u(x) ** 3 - 50 * u(x) ** 2

    equation = Equation(laplacian(1), (Interval(-1, 1),), second, {(0, 0): dirichlet(u), (0, 1): dirichlet(u)})
    counts = np.arange(41, 122, 20)
    errors = [error(solve(equation, [count]), u, 301) for count in counts]
    rate = -np.polyfit(counts, np.log(errors), 1)[0]
    assert rate == pytest.approx(np.log((1 + np.sqrt(26)) / 5), rel=0.1)


def test_periodic_axes_converge_exponentially() -> None:
    """exp(cos x) is entire: 24 points a period give all digits."""

    def u(x: np.ndarray) -> np.ndarray:
        return exp(cos(x))

    operator = laplacian(1, Term(-1.0, (0,)))
    equation = Equation(operator, (Interval(0, 2 * pi, "periodic"),), lambda x: u(x) * (sin(x) ** 2 - cos(x) - 1))
    errors = [error(solve(equation, [count]), u) for count in (8, 12, 16, 24)]
    assert errors[-1] < 1e-12
    assert all(late < early / 30 for early, late in pairwise(errors[:3]))


@pytest.mark.parametrize("order", [1, 3])
def test_odd_derivatives_alone_are_solved_up_to_their_mean(order: int) -> None:
    """They do not see the Nyquist mode of the grid, which is no part of a resolved solution."""
    mean = float(np.i0(1))  # of exp(cos x)

    def u(x: np.ndarray) -> np.ndarray:
        return exp(cos(x)) - mean

    slopes = {1: lambda x: -sin(x) * exp(cos(x)), 3: lambda x: sin(x) * (3 * cos(x) + cos(x) ** 2) * exp(cos(x))}
    box = (Interval(0, 2 * pi, "periodic"),)
    equation = Equation(Operator((Term(2.0, (order,)),)), box, lambda x: 2 * slopes[order](x))
    solution = solve(equation)
    assert error(solution, u) < 1e-11
    assert solution.residual < 1e-9
    with pytest.raises(InputError, match="do not balance"):
        solve(Equation(Operator((Term(1.0, (order,)),)), box, lambda x: 1 + slopes[order](x)))


def test_odd_along_one_axis_and_even_along_another() -> None:
    """A drift along x and diffusion along y, both periodic; with drifts alone u(x - y) stays undetermined."""
    box = (Interval(0, 2 * pi, "periodic"), Interval(0, 2 * pi, "periodic"))
    operator = Operator((Term(1.0, (1, 0)), Term(-1.0, (0, 2))))

    def forcing(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (-sin(x) + (sin(y) - cos(y) ** 2) * cos(x)) * exp(sin(y))

    found = solve(Equation(operator, box, forcing))
    assert error(found, lambda x, y: cos(x) * exp(sin(y))) < 1e-10
    drifts = Operator((Term(1.0, (1, 0)), Term(1.0, (0, 1))))
    with pytest.raises(InputError, match="leave its solution undetermined"):
        solve(Equation(drifts, box, lambda x, y: cos(x + y)))


def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return cos(3 * x) * exp(y)


@pytest.mark.parametrize(
    "conditions",
    [
        {side: dirichlet(wave) for side in SIDES},
        {
            (0, 0): neumann(0.0),
            (0, 1): dirichlet(wave),
            (1, 0): neumann(lambda x, y: -wave(x, y)),
            (1, 1): Condition(lambda x, y: 3 * wave(x, y), value=1.0, slope=2.0),
        },
    ],
    ids=["dirichlet", "mixed"],
)
def test_conditions_on_a_rectangle(conditions: dict[tuple[int, int], Condition]) -> None:
    solution = solve(Equation(laplacian(2), (Interval(0, 1), Interval(0, 2)), lambda x, y: -8 * wave(x, y), conditions))
    assert error(solution, wave) < 1e-11


def test_neumann_data_alone_give_the_solution_of_mean_zero() -> None:
    sides = {
        (0, 0): neumann(0.0),
        (0, 1): neumann(lambda x, y: -3 * sin(3 * x) * exp(y)),
        (1, 0): neumann(lambda x, y: -wave(x, y)),
        (1, 1): neumann(wave),
    }
    box = (Interval(0, 1), Interval(0, 2))
    solution = solve(Equation(laplacian(2), box, lambda x, y: -8 * wave(x, y), sides))
    mean = sin(3) / 3 * (exp(2) - 1) / 2
    assert error(solution, lambda x, y: wave(x, y) - mean) < 1e-11
    with pytest.raises(InputError, match=r"do not balance: the forcing is 0\.5 away"):
        solve(Equation(laplacian(2), box, lambda x, y: -8 * wave(x, y) + 0.5, sides))


@pytest.mark.parametrize("velocity", [1.0, 30.0, -200.0])
@pytest.mark.parametrize("periodic", [False, True])
def test_advection_and_diffusion_with_slopes_alone(velocity: float, periodic: bool) -> None:
    """u_xx + u_yy + v u_y: constants are the kernel, as for Poisson, but eigenvectors are parallel up to round-off."""

    def u(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return cos(2 * x) * (cos(pi * y) + sin(3 * y))

    def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return cos(2 * x) * (3 * cos(3 * y) - pi * sin(pi * y))

    def forcing(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return velocity * slope(x, y) - 4 * u(x, y) - cos(2 * x) * (pi**2 * cos(pi * y) + 9 * sin(3 * y))

    sides = {(1, 0): neumann(lambda x, y: -slope(x, y)), (1, 1): neumann(slope)}
    if not periodic:
        sides |= {(0, 0): neumann(0.0), (0, 1): neumann(0.0)}
    box = (Interval(0, pi, "periodic" if periodic else "bounded"), Interval(0, 1))
    operator = laplacian(2, Term(velocity, (0, 1)))
    assert error(solve(Equation(operator, box, forcing, sides)), u) < 1e-11
    with pytest.raises(InputError, match=r"do not balance: the forcing is 0\.5 away"):
        solve(Equation(operator, box, lambda x, y: forcing(x, y) + 0.5, sides))


@pytest.mark.parametrize("axes", [1, 2])
def test_neumann_data_alone_with_a_variable_conductivity(axes: int) -> None:
    """div(a grad u) with a = 2 + sin x (times 1 + y / 5 on a square) of u = cos 2x (cos y), without flux."""

    def u(x: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        return cos(2 * x) * cos(y)

    def a(x: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        return (2 + sin(x)) * (1 + y / 5)

    def forcing(x: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        along_x = -2 * cos(x) * (1 + y / 5) * sin(2 * x) * cos(y) - 4 * a(x, y) * u(x, y)
        along_y = -(2 + sin(x)) / 5 * cos(2 * x) * sin(y) - a(x, y) * u(x, y)
        return along_x + (axes - 1) * along_y

    operator = Operator((Term(0.0, (0,) * axes),), conductivity=a)
    sides = {side: neumann(0.0) for side in SIDES if side[0] < axes}
    box = (Interval(0, pi),) * axes
    assert error(solve(Equation(operator, box, forcing, sides)), u) < 1e-11
    with pytest.raises(InputError, match=r"do not balance: the forcing is 0\.3"):
        solve(Equation(operator, box, lambda *at: forcing(*at) + 0.3, sides))


def test_three_axes_two_of_them_periodic() -> None:
    def u(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return sin(x) * cos(2 * y) * exp(z)

    box = (Interval(0, 2 * pi, "periodic"), Interval(0, pi, "periodic"), Interval(0, 1))
    sides = {(2, 0): dirichlet(u), (2, 1): neumann(u)}
    solution = solve(Equation(laplacian(3), box, lambda x, y, z: -4 * u(x, y, z), sides))
    assert error(solution, u, 12) < 1e-12
    points = np.random.default_rng(0).uniform(0, 1, (50, 3))
    np.testing.assert_allclose(solution.at(points), u(*points.T), atol=1e-12)


def test_variable_conductivity_and_a_mixed_derivative() -> None:
    def u(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return sin(2 * x + y)

    def a(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1 + 0.5 * sin(3 * x) * cos(2 * y)

    def forcing(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        slope = cos(2 * x + y)
        return 3 * cos(3 * x) * cos(2 * y) * slope - sin(3 * x) * sin(2 * y) * slope - 5 * a(x, y) * u(x, y)

    box, sides = (Interval(0, 1), Interval(0, 1)), {side: dirichlet(u) for side in SIDES}
    assert error(solve(Equation(Operator((Term(0.0, (0, 0)),), conductivity=a), box, forcing, sides)), u) < 1e-12
    mixed = laplacian(2, Term(0.5, (1, 1)))
    assert error(solve(Equation(mixed, box, lambda x, y: -6 * u(x, y), sides)), u) < 1e-12


def test_burgers_in_space_and_time_at_once() -> None:
    """A travelling front of Burgers' equation, u = (1 - tanh((x - t/2) / (4 nu))) / 2."""
    nu = 0.1

    def u(x: np.ndarray, t: np.ndarray) -> np.ndarray:
        return 0.5 - 0.5 * np.tanh((x - t / 2) / (4 * nu))

    operator = Operator((Term(1.0, (0, 1)), Term(-nu, (2, 0))), flux=(Flux(0.5, 2, 0),))
    sides = {(0, 0): dirichlet(u), (0, 1): dirichlet(u), (1, 0): dirichlet(u)}
    solution = solve(Equation(operator, (Interval(-1, 1), Interval(0, 0.5, "time")), 0.0, sides))
    assert error(solution, u) < 1e-11


def multiscale_heat(high: float = 5.0) -> tuple[Equation, Function]:
    """Heat on the unit square with 20 half waves along x and conductivities 1/(500 pi)^2 and 1/pi^2."""

    def u(x: np.ndarray, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        return sin(20 * pi * x) * sin(pi * y) * exp(-(1 + (20 / 500) ** 2) * t)

    terms = (Term(1.0, (0, 0, 1)), Term(-1 / (500 * pi) ** 2, (2, 0, 0)), Term(-1 / pi**2, (0, 2, 0)))
    sides = {**{side: dirichlet(0.0) for side in SIDES}, (2, 0): dirichlet(u)}
    return Equation(Operator(terms), (Interval(0, 1), Interval(0, 1), Interval(0, high, "time")), 0.0, sides), u


def test_heat_of_two_scales() -> None:
    equation, exact = multiscale_heat()
    assert error(solve(equation), exact, 20) < 1e-11


@pytest.mark.data
def test_heat_of_two_scales_against_the_finite_elements_of_pinnacle(shared: Path) -> None:
    """Their 3000 nodes: our solution is exact to 1e-11, so that the 1 % between the two is theirs."""
    table = np.loadtxt(shared / "data/pde/pinnacle_ref/heat_multiscale_lesspoints.dat", comments="%")
    solution = solve(multiscale_heat()[0])
    times = np.arange(table.shape[1] - 2) * 0.2
    points = np.concatenate([np.column_stack([table[:, :2], np.full(len(table), t)]) for t in times])
    assert relative_error(table[:, 2:].T.ravel(), solution.at(points)) < 0.03


@given(low=st.floats(-3, 3), length=st.floats(0.1, 10), count=st.integers(8, 60), seed=st.integers(0, 99))
def test_interpolation_and_derivatives_are_exact_for_polynomials(
    low: float, length: float, count: int, seed: int
) -> None:
    axis = Interval(low, low + length).discretise(count)
    polynomial = np.polynomial.Chebyshev(np.random.default_rng(seed).normal(size=8), domain=(low, low + length))
    at = np.concatenate([np.linspace(low, low + length, 30), axis.points])
    values = polynomial(axis.points)
    np.testing.assert_allclose(axis.interpolation(at) @ values, polynomial(at), atol=1e-11)
    for order in (1, 2):
        exact = polynomial.deriv(order)(axis.points)
        np.testing.assert_allclose(axis.matrix(order) @ values, exact, atol=1e-9 * (1 + np.abs(exact).max()))
    integral = polynomial.integ()
    assert axis.weights @ values == pytest.approx(integral(low + length) - integral(low), abs=1e-11)


@given(count=st.integers(4, 30).map(lambda n: 2 * n), mode=st.integers(0, 3), low=st.floats(-2, 2))
def test_trigonometric_interpolation_is_exact_below_the_nyquist_frequency(count: int, mode: int, low: float) -> None:
    axis = Interval(low, low + 3, "periodic").discretise(count)
    k = 2 * pi * mode / 3
    at = np.concatenate([np.linspace(low, low + 3, 17), axis.points])
    np.testing.assert_allclose(axis.interpolation(at) @ cos(k * axis.points), cos(k * at), atol=1e-11)
    np.testing.assert_allclose(axis.matrix(3) @ cos(k * axis.points), k**3 * sin(k * axis.points), atol=1e-9)


def test_an_alias_is_not_taken_for_the_solution() -> None:
    """On 16 points sin 20 x is sin 4 x, whose coefficients end long before the last."""
    operator = Operator((Term(1.0, (2,)), Term(-1.0, (0,))), {3: 1.0})
    equation = Equation(operator, (Interval(0, 2 * pi, "periodic"),), lambda x: -401 * sin(20 * x) + sin(20 * x) ** 3)
    assert error(solve(equation), lambda x: sin(20 * x), 101) < 1e-10


ENDS = {(0, 0): dirichlet(0.0), (0, 1): dirichlet(0.0)}


@pytest.mark.parametrize(
    ("operator", "box", "forcing", "conditions", "message"),
    [
        (laplacian(1), Interval(0, 1), 1.0, {(0, 0): dirichlet(0.0)}, r"needs 2 conditions; found: low"),
        (Operator((Term(1.0, (1,)),)), Interval(0, 1, "time"), 1.0, {(0, 1): dirichlet(0.0)}, r"one, at its low end"),
        (Operator((Term(1.0, (3,)),)), Interval(0, 1), 1.0, ENDS, r"takes at most 2: make it periodic"),
        (laplacian(1), Interval(1, 0), 1.0, ENDS, r"low end must lie below"),
        (laplacian(1), Interval(-1, 1), lambda x: np.where(x < 0, np.nan, x), ENDS, r"is nan at \(-1\)"),
        (laplacian(1), Interval(-1, 1), lambda x: np.abs(x - 0.1), ENDS, r"jumps, kinks or noise"),
        (laplacian(1), Interval(0, 1), lambda x: sin(9000 * x), ENDS, r"1\d{3} cycles a unit .* needs 5\d{3} points"),
        (laplacian(1, Term(pi**2, (0,))), Interval(0, 1), 1.0, ENDS, r"leave its solution undetermined"),
        (laplacian(2), Interval(0, 1), 1.0, ENDS, r"has 2 axes and the box 1"),
    ],
)
def test_refused(operator: Operator, box: Interval, forcing: Function | float, conditions: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve(Equation(operator, (box,), forcing, conditions))


def test_a_nonlinear_problem_without_a_solution_is_refused() -> None:
    """u'' + 40 + u^2 = 0 on [0, 1] with zero ends lies beyond the fold of Bratu's kind."""
    with pytest.raises(InputError, match=r"did not settle in 30 steps"):
        solve(Equation(Operator((Term(1.0, (2,)),), {2: 1.0}), (Interval(0, 4),), -40.0, ENDS))


def test_an_odd_number_of_periodic_points_is_refused() -> None:
    equation = Equation(laplacian(1, Term(-1.0, (0,))), (Interval(0, 1, "periodic"),), 1.0)
    with pytest.raises(InputError, match=r"given 33 points; expected an even number"):
        solve(equation, [33])


def test_evaluation_outside_the_box_is_refused() -> None:
    solution = solve(Equation(laplacian(1), (Interval(0, 1),), 1.0, ENDS))
    with pytest.raises(InputError, match=r"reach out of the interval \[0, 1\]"):
        solution.on(np.array([1.5]))
