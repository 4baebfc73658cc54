"""The flow solver against exact solutions, conservation laws and scaling."""

import numpy as np
import pytest

from phantoms.tubes import centers, tube
from voxfield.phantoms._domain import inlet_pressure
from voxfield.phantoms._flow import Flow, Problem, inlet_profile, solve_flow
from voxfield.phantoms._momentum import Momentum


def drop(problem: Problem, flow: Flow) -> float:
    """Pressure drop in units of density times mean inlet velocity squared."""
    return inlet_pressure(problem.lattice, flow.pressure) - float(flow.pressure[problem.lattice.n_cells])


def poiseuille_errors(radius: float, tilt: float) -> tuple[float, float]:
    """Relative errors of the pressure gradient and of the axial velocity, in the middle of a tube."""
    problem, distance, along, axis = tube(radius, 2 * int(np.ceil(3 * radius)), tilt=tilt)
    flow = solve_flow(problem, None, 20.0)
    cells = problem.lattice.cells
    middle = (cells >= 0) & (np.abs(along) < 1.2 * radius) & (distance < 1)
    slope = np.polyfit(along[middle], flow.pressure[cells[middle]], 1)[0]
    exact_slope = -8 * problem.viscosity(20.0) / radius**2
    exact = 2 * (1 - distance[middle] ** 2)
    error = (centers(problem, flow.velocity) @ axis)[middle] - exact
    return abs(slope / exact_slope - 1), float(np.linalg.norm(error) / np.linalg.norm(exact))


def test_poiseuille_converges_at_second_order() -> None:
    radii = np.array([2.7, 4.0, 5.4, 8.1])
    gradient, profile = np.array([poiseuille_errors(radius, 0.0) for radius in radii]).T
    assert -np.polyfit(np.log(radii), np.log(gradient), 1)[0] > 1.7
    assert -np.polyfit(np.log(radii), np.log(profile), 1)[0] > 1.7
    assert gradient[-1] < 0.005
    assert profile[-1] < 0.003


@pytest.mark.parametrize("tilt", [0.4, 0.7])
def test_poiseuille_in_an_oblique_tube(tilt: float) -> None:
    gradient, profile = poiseuille_errors(5.4, tilt)
    assert gradient < 0.015
    assert profile < 0.04  # what is left of the oblique inlet


def test_every_cross_section_carries_the_inflow() -> None:
    problem, *_ = tube(4.3, 36, degree=0.4)
    flow = solve_flow(problem, None, 100.0)
    through = problem.lattice.scatter(flow.velocity)[2].sum(axis=(0, 1))[2:-2]
    assert np.abs(through / problem.area - 1).max() < 1e-12
    assert flow.imbalance < 1e-13
    assert flow.residual < 1e-4
    assert flow.reynolds == 100.0


def test_inlet_profile_is_a_paraboloid() -> None:
    problem, *_ = tube(8.1, 12)
    profile = inlet_profile(problem)
    assert profile.sum() == pytest.approx(problem.area)
    assert profile.max() == pytest.approx(2.0, rel=0.01)


def test_creeping_flow_drop_is_inverse_to_reynolds() -> None:
    problem, *_ = tube(4.3, 30, degree=0.3)
    slow, slower = (drop(problem, solve_flow(problem, None, reynolds)) * reynolds for reynolds in (0.02, 0.01))
    assert slow == pytest.approx(slower, rel=1e-4)


def test_drop_of_a_stenosis_grows_faster_than_the_flow() -> None:
    straight, *_ = tube(4.3, 48)
    narrow, *_ = tube(4.3, 48, degree=0.5)
    # Pressure in units of viscosity^2: proportional to Re where the drop is proportional to the flow.
    ratio = {}
    for name, problem in (("straight", straight), ("narrow", narrow)):
        low, high = (drop(problem, solve_flow(problem, None, re)) * re**2 for re in (40.0, 120.0))
        ratio[name] = high / low
    assert ratio["straight"] == pytest.approx(3.0, rel=0.02)
    assert ratio["narrow"] > 4.5


def test_momentum_agrees_with_a_beltrami_flow_at_second_order() -> None:
    """For the Arnold-Beltrami-Childress flow u . grad u = grad |u|^2 / 2 and lap u = -k^2 u, so the force is known."""
    errors = []
    sizes = np.array([8.0, 16.0])
    for size in sizes:
        problem, distance, *_ = tube(size, int(2 * size))
        errors.append(beltrami_error(problem, distance * size, size))
    assert np.log2(errors[0] / errors[1]) > 1.7


def beltrami_error(problem: Problem, distance: np.ndarray, size: float) -> float:
    lattice, wave, viscosity = problem.lattice, 1.3 / size, 0.05 * size
    x, y, z = (np.arange(n + 1.0) for n in lattice.shape)

    def field(component: int, shift: tuple[float, float, float]) -> np.ndarray:
        a, b, c = np.meshgrid(x[:-1] + shift[0], y[:-1] + shift[1], z[:-1] + shift[2], indexing="ij")
        parts = (
            np.sin(wave * c) + np.cos(wave * b),
            np.sin(wave * a) + np.cos(wave * c),
            np.sin(wave * b) + np.cos(wave * a),
        )
        return parts[component]

    dense = []
    for axis in range(3):
        shift = [0.5, 0.5, 0.5]
        shift[axis] = 0.0
        values = field(axis, (shift[0], shift[1], shift[2]))
        dense.append(np.concatenate([values, np.take(values, [-1], axis=axis)], axis=axis))
    velocity = lattice.gather((dense[0], dense[1], dense[2]))
    speed = sum(field(axis, (0.5, 0.5, 0.5)) ** 2 for axis in range(3))
    pressure = np.zeros(lattice.n_cells + 1)
    inside = lattice.cells >= 0
    pressure[lattice.cells[inside]] = -0.5 * speed[inside]
    force = Momentum(lattice, viscosity).residual(velocity, pressure)
    # Away from wall and openings the force is that of viscosity, nu k^2 u.
    core = (distance < 0.55 * size) & (np.abs(z[:-1] - z.mean())[None, None] < 0.55 * size)
    error, scale = [], []
    for axis in range(3):
        ids = np.delete(lattice.faces[axis], -1, axis=axis)[core]
        error.append(force[ids] - viscosity * wave**2 * velocity[ids])
        scale.append(viscosity * wave**2 * velocity[ids])
    return float(np.linalg.norm(np.concatenate(error)) / np.linalg.norm(np.concatenate(scale)))


def test_jacobian_is_the_derivative_of_the_residual() -> None:
    problem, *_ = tube(2.7, 10, degree=0.2)
    rng = np.random.default_rng(0)
    lattice = problem.lattice
    momentum = Momentum(lattice, 0.1)
    velocity, pressure = rng.standard_normal(lattice.n_faces), rng.standard_normal(lattice.n_cells + 1)
    step = np.zeros(lattice.n_faces)
    step[: lattice.n_free] = rng.standard_normal(lattice.n_free)
    eps = 1e-6
    ahead, behind = (momentum.residual(velocity + s * eps * step, pressure) for s in (1, -1))
    exact = momentum.jacobian(velocity) @ step[: lattice.n_free]
    assert np.abs((ahead - behind) / (2 * eps) - exact).max() < 1e-6 * np.abs(exact).max()


def test_coarse_start_gives_the_same_flow() -> None:
    coarse, *_ = tube(2.7, 14, degree=0.3, offset=(0.065, 0.185), field=8)
    fine, *_ = tube(5.4, 28, degree=0.3, field=16)
    led, direct = (solve_flow(fine, start, 80.0, tolerance=1e-8) for start in (coarse, None))
    assert led.iterations != direct.iterations
    assert np.abs(led.velocity - direct.velocity).max() < 1e-5
