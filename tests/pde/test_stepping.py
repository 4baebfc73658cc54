"""Time stepping: rates, exact solutions, published references, honest estimates, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy import cos, exp, pi, sin

from pde.highfreq import relative_error
from voxfield.errors import InputError
from voxfield.pde.problem.operator import Flux, Operator, Term
from voxfield.pde.spectral import Chebyshev, Interval, dirichlet, neumann
from voxfield.pde.stepping import evolve_line, evolve_periodic
from voxfield.pde.stepping._exponential import ExponentialRungeKutta, coefficients
from voxfield.pde.stepping._grid import PeriodicGrid
from voxfield.pde.stepping._line import Line
from voxfield.pde.stepping._mapped import Mapped
from voxfield.pde.stepping._march import fixed
from voxfield.pde.stepping._radau import Radau
from voxfield.pde.stepping._splitting import Splitting

UNIT = (Interval(-1, 1, "periodic"),)
WALLS = {0: dirichlet(0.0), 1: dirichlet(0.0)}


def burgers(viscosity: float) -> Operator:
    return Operator((Term(1.0, (0, 1)), Term(-viscosity, (2, 0))), flux=(Flux(0.5, 2, 0),))


def kdv(dispersion: float) -> Operator:
    return Operator((Term(1.0, (0, 1)), Term(dispersion, (3, 0))), flux=(Flux(0.5, 2, 0),))


ALLEN_CAHN = Operator((Term(1.0, (0, 1)), Term(-1e-4, (2, 0)), Term(-5.0, (0, 0))), {3: 5.0})
SCHROEDINGER = Operator((Term(1j, (0, 1)), Term(0.5, (2, 0))), {3: 1.0})


def rate(widths: Sequence[float], errors: Sequence[float]) -> float:
    """Slope of log error over log width."""
    return float(np.polyfit(np.log(widths), np.log(errors), 1)[0])


@pytest.mark.parametrize("operator", [burgers(0.02), kdv(0.02), ALLEN_CAHN], ids=["burgers", "kdv", "allen_cahn"])
def test_exponential_differencing_is_of_order_four(operator: Operator) -> None:
    grid = PeriodicGrid.of(UNIT, [32])
    stepper = ExponentialRungeKutta(operator, grid, 0.5 + 0.4 * cos(pi * grid.coordinates[0]))
    times, counts = np.array([0.0, 0.4]), 32 * 2 ** np.arange(4)
    reference = fixed(stepper, times, 2048)[-1]
    errors = [np.abs(fixed(stepper, times, count)[-1] - reference).max() for count in counts]
    assert rate(1 / counts, errors) == pytest.approx(4, abs=0.1)


def test_splitting_is_of_order_four() -> None:
    grid = PeriodicGrid.of((Interval(-4, 4, "periodic"),), [64])
    stepper = Splitting(SCHROEDINGER, grid, 1 + 0.5 * exp(0.25j * pi * grid.coordinates[0]))
    times, counts = np.array([0.0, 1.0]), 16 * 2 ** np.arange(4)
    reference = fixed(stepper, times, 1024)[-1]
    errors = [np.abs(fixed(stepper, times, count)[-1] - reference).max() for count in counts]
    assert rate(1 / counts, errors) == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize(("stages", "counts"), [(2, (64, 96, 128)), (3, (16, 24, 32))])
def test_radau_is_of_order_twice_the_stages_less_one(stages: int, counts: tuple[int, ...]) -> None:
    line = Line(burgers(0.1), Chebyshev(-1, 1, 24), WALLS)
    start = -sin(pi * line.axis.points[1:-1])

    def end(method: Radau, count: int) -> np.ndarray:
        inner, width = start, 0.5 / count
        for step in range(count):
            inner = method.step(line, step * width, inner, width)
        return inner

    reference = end(Radau(6), 16)
    errors = [np.abs(end(Radau(stages), count) - reference).max() for count in counts]
    assert rate(1 / np.array(counts), errors) == pytest.approx(2 * stages - 1, abs=0.1)


def test_coefficients_by_contour_are_those_of_the_formulas() -> None:
    """At z = 0 by Taylor: Q = h/2, f1 = f3 = h/6, f2 = h/6; at z = -4 and 3i as written, where no digit cancels."""
    for value in coefficients(np.zeros(1), 0.25)[1:]:
        assert value[0] == pytest.approx(0.25 / 6, rel=1e-13)
    assert coefficients(np.zeros(1), 0.25)[0][0] == pytest.approx(0.125, rel=1e-13)
    z = np.array([-4.0, 3j])
    written = [
        (exp(z / 2) - 1) / z,
        (-4 - z + exp(z) * (4 - 3 * z + z**2)) / z**3,
        (2 + z + exp(z) * (z - 2)) / z**3,
        (-4 - 3 * z - z**2 + exp(z) * (4 - z)) / z**3,
    ]
    np.testing.assert_allclose(np.stack(coefficients(z, 1.0)), np.stack(written), rtol=1e-12)


def test_soliton_of_korteweg_and_de_vries() -> None:
    """u = 3 c sech^2(sqrt(c) (x - c t) / 2 d) solves u_t + u u_x + d^2 u_xxx = 0."""
    c, d, times = 1.0, 0.05, np.array([0.0, 0.1, 0.3])

    def u(x: np.ndarray, t: float = 0.0) -> np.ndarray:
        return 3 * c / np.cosh(np.sqrt(c) * (x - c * t) / (2 * d)) ** 2

    solution = evolve_periodic(kdv(d**2), (Interval(-1.5, 1.5, "periodic"),), u, times, tolerance=1e-8)
    at = np.linspace(-1, 1, 50)
    exact = np.stack([u(at, t) for t in times])
    error = np.abs(solution.on(at) - exact).max() / 3
    assert error < 2e-8
    assert error < 5 * solution.error_estimate + 1e-9


def test_breather_of_schroedinger() -> None:
    """2 sech x is a bound state of two solitons (Satsuma & Yajima, Prog. Theor. Phys. Suppl. 55, 1974)."""
    times = np.linspace(0, pi / 4, 4)
    solution = evolve_periodic(
        SCHROEDINGER, (Interval(-16, 16, "periodic"),), lambda x: 2 / np.cosh(x), times, counts=[512], tolerance=1e-7
    )
    x, t = solution.axes[0].points, times[:, None]
    bound = np.cosh(4 * x) + 4 * np.cosh(2 * x) + 3 * cos(4 * t)
    exact = 4 * (np.cosh(3 * x) + 3 * exp(4j * t) * np.cosh(x)) * exp(0.5j * t) / bound
    assert np.abs(solution.values - exact).max() / 4 < 3e-7
    mass = (np.abs(solution.values) ** 2).sum(axis=1)
    np.testing.assert_allclose(mass, mass[0], rtol=1e-11)


def test_heat_and_forcing_on_a_periodic_square() -> None:
    """u = e^-t (cos x + sin 2 y) + sin t with the forcing that makes it so, on two axes of points of their own."""
    terms = (Term(2.0, (0, 0, 1)), Term(-2.0, (2, 0, 0)), Term(-0.5, (0, 2, 0)))
    box = (Interval(0, 2 * pi, "periodic"), Interval(0, pi, "periodic"))
    solution = evolve_periodic(
        Operator(terms),
        box,
        lambda x, y: cos(x) + sin(2 * y),
        np.array([0.0, 0.3, 1.0]),
        counts=[8, 12],
        forcing=lambda x, y, t: 2 * cos(t) + 0 * x * y,
    )
    x, y, t = np.meshgrid([0.0, 0.3, 1.0], *(axis.points for axis in solution.axes), indexing="ij")
    t, x, y = x, y, t
    np.testing.assert_allclose(solution.values, exp(-t) * (cos(x) + sin(2 * y)) + sin(t), atol=1e-9)


@pytest.mark.parametrize("viscosity", [0.1, 0.005])
def test_a_front_of_burgers_is_followed(viscosity: float) -> None:
    """A travelling front with moving values at both ends; its width is 4 nu, its speed a half."""

    def u(x: np.ndarray, t: np.ndarray) -> np.ndarray:
        return 0.5 - 0.5 * np.tanh((x - t / 2) / (4 * viscosity))

    times, at = np.array([0.0, 0.1, 0.2]), np.linspace(-1, 1, 201)
    solution = evolve_line(
        burgers(viscosity),
        Interval(-1, 1),
        lambda x: u(x, 0),
        {0: dirichlet(u), 1: dirichlet(u)},
        times,
        at,
        tolerance=1e-8,
    )
    error = np.abs(solution.values - u(at, times[:, None])).max()
    assert error < 1e-8
    assert error < 5 * solution.error_estimate + 1e-10


def test_an_insulated_rod_of_changing_conductivity() -> None:
    """u = e^-t cos pi x under conductivity 1 + x / 2, insulated at the ends, with the forcing that makes it so."""

    def forcing(x: np.ndarray, t: np.ndarray) -> np.ndarray:
        divergence = -0.5 * pi * sin(pi * x) - (1 + x / 2) * pi**2 * cos(pi * x)
        return exp(-t) * (-cos(pi * x) - divergence)

    operator = Operator((Term(1.0, (0, 1)), Term(0.0, (0, 0))), conductivity=lambda x: -(1 + x / 2))
    times, at = np.array([0.0, 0.5]), np.linspace(0, 1, 33)
    solution = evolve_line(
        operator, Interval(0, 1), lambda x: cos(pi * x), {0: neumann(0.0), 1: neumann(0.0)}, times, at, forcing=forcing
    )
    np.testing.assert_allclose(solution.values, exp(-times)[:, None] * cos(pi * at), atol=1e-9)


def test_mapped_points_differentiate_a_narrow_front() -> None:
    """tanh(x / w) with w = 0.002: 97 points drawn together differentiate to 7 digits, 97 plain ones to none."""
    width, front = 0.002, Mapped(-1, 1, 97, 0.0, 0.002)
    exact = (1 - np.tanh(front.points / width) ** 2) / width
    assert relative_error(front.matrix(1) @ np.tanh(front.points / width), exact) < 1e-7
    plain = Chebyshev(-1, 1, 97)
    exact = (1 - np.tanh(plain.points / width) ** 2) / width
    assert relative_error(plain.matrix(1) @ np.tanh(plain.points / width), exact) > 0.1


def reference(shared: Path, name: str) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    values = loadmat(shared / "data/pde/pinns_raissi" / name)
    return {key: np.squeeze(value) for key, value in values.items() if not key.startswith("_")}


@pytest.mark.data
def test_allen_cahn_as_published(shared: Path) -> None:
    """On their 512 points: the initial value has a kink where the period closes, so the grid is part of the result."""
    data = reference(shared, "AC.mat")
    solution = evolve_periodic(ALLEN_CAHN, UNIT, lambda x: x**2 * cos(pi * x), data["tt"], counts=[512])
    assert relative_error(solution.values.T, data["uu"]) < 1e-10


@pytest.mark.data
def test_korteweg_de_vries_as_published(shared: Path) -> None:
    data = reference(shared, "KdV.mat")
    times = data["tt"][:101:25]
    solution = evolve_periodic(kdv(0.0025), UNIT, lambda x: cos(pi * x), times)
    assert relative_error(solution.on(data["x"]).T, data["uu"][:, :101:25]) < 1e-10


@pytest.mark.data
def test_burgers_shock_as_published(shared: Path) -> None:
    """The distance of theirs from the Cole-Hopf solution is 2.9e-12."""
    data = reference(shared, "burgers_shock.mat")
    solution = evolve_line(burgers(0.01 / pi), Interval(-1, 1), lambda x: -sin(pi * x), WALLS, data["t"], data["x"])
    assert relative_error(solution.values.T, data["usol"]) < 1e-11


def test_a_kink_is_refused_unless_the_grid_is_given() -> None:
    with pytest.raises(InputError, match=r"not smooth as a periodic function; give the number of points"):
        evolve_periodic(ALLEN_CAHN, UNIT, lambda x: x**2 * cos(pi * x), np.array([0.0, 0.1]))


@pytest.mark.parametrize(
    ("times", "counts", "message"),
    [
        ([0.0, 0.0], [32], r"at least two, ascending"),
        ([0.0, 0.1], [31], r"an even number, at least 4"),
    ],
)
def test_bad_times_and_grids_are_refused(times: list[float], counts: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evolve_periodic(ALLEN_CAHN, UNIT, lambda x: cos(pi * x), np.array(times), counts=counts)


def test_a_tolerance_below_round_off_is_refused() -> None:
    with pytest.raises(InputError, match=r"round-off leaves an error"):
        evolve_periodic(kdv(0.0025), UNIT, lambda x: cos(pi * x), np.array([0.0, 0.01]), counts=[64], tolerance=1e-18)


def test_steps_on_large_grids_are_bounded_by_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxfield.pde.stepping._evolve.MOST_WORK", 1e6)  # 1e6 / (40 * 256 * 8) = 12 steps
    with pytest.raises(InputError, match=r"more than 12 would be needed: .* \(solver finite_volume\)"):
        evolve_periodic(kdv(0.0025), UNIT, lambda x: cos(pi * x), np.array([0.0, 0.5]), counts=[256])


def test_the_backward_heat_equation_is_refused() -> None:
    with pytest.raises(InputError, match=r"does not go forward in time"):
        evolve_periodic(
            Operator((Term(1.0, (0, 1)), Term(1.0, (2, 0))), flux=(Flux(0.5, 2, 0),)),
            UNIT,
            lambda x: cos(pi * x),
            np.array([0.0, 5.0]),
            counts=[128],
        )


def test_splitting_refuses_what_changes_the_modulus() -> None:
    grid = PeriodicGrid.of(UNIT, [16])
    damped = Operator((Term(1j, (0, 1)), Term(0.5, (2, 0))), {3: 1j})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"powers \[3\] that change"):
        Splitting(damped, grid, np.ones(16))
