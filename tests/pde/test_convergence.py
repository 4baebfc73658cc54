"""Flows of known pressure in a bent tube of voxels: the error falls with the square of the voxel."""

from collections.abc import Callable

import numpy as np
import pytest

from pde.exact import (
    BLOOD,
    Flow,
    Wedge,
    abc_flow,
    bent_tube,
    ethier_steinman,
    kovasznay_flow,
    sink_flow,
    stagnation_flow,
)
from voxfield.pde import EllipticSolver, Fluid, VoxelDomain, momentum_force
from voxfield.pde._momentum import time_derivative

CUBES = [(n, n, n) for n in (20, 28, 40)]
PLATES = [(n, n, 3 * n // 5) for n in (30, 40, 60)]


def pressure_error(domain: VoxelDomain, face_force: np.ndarray, exact: np.ndarray) -> float:
    """Relative root mean square error, both pressures with zero mean."""
    found = EllipticSolver(domain.stiffness, domain.cells).solve(domain.divergence @ face_force[:, None])
    error = found.values[:, 0] - exact
    return float(error.std() / exact.std())


def rate(steps: list[tuple[int, int, int]], errors: list[float]) -> float:
    """Slope of log error over log voxel size."""
    return float(-np.polyfit(np.log([n[0] for n in steps]), np.log(errors), 1)[0])


@pytest.mark.parametrize("steps", [CUBES, PLATES], ids=["cubes", "plates"])
@pytest.mark.parametrize(
    ("make", "fluid", "aim"),
    [
        (abc_flow, Fluid(1060.0, 0.0), 0.005),
        (sink_flow, BLOOD, 0.005),
        (kovasznay_flow, Fluid(1060.0, 30.0), 0.01),
    ],
)
def test_steady_flows_converge_with_second_order(
    make: Callable[[Fluid], Flow], fluid: Fluid, aim: float, steps: list[tuple[int, int, int]]
) -> None:
    errors = []
    for shape in steps:
        mask, points, spacing = bent_tube(shape)
        domain = VoxelDomain(mask, spacing)
        velocity, pressure = make(fluid)(points[mask])
        errors.append(pressure_error(domain, momentum_force(domain, velocity, fluid).faces, pressure))
    assert rate(steps, errors) > 1.7, errors
    assert errors[-1] < aim, errors


def test_a_velocity_that_is_linear_gives_its_pressure_without_error() -> None:
    mask, points, spacing = bent_tube((20, 17, 13))
    domain = VoxelDomain(mask, spacing)
    velocity, pressure = stagnation_flow(BLOOD)(points[mask])
    assert pressure_error(domain, momentum_force(domain, velocity, BLOOD).faces, pressure) < 1e-6


def test_unsteady_flow_converges_in_space_and_time_together() -> None:
    fluid, errors = Fluid(1.0, 0.02), []
    for shape in CUBES:
        mask, points, spacing = bent_tube(shape)
        domain = VoxelDomain(mask, spacing)
        step = 2.0 / shape[0]
        frames, pressures = zip(*(ethier_steinman(fluid, k * step)(points[mask]) for k in range(3)), strict=True)
        for frame in (0, 1, 2):  # one-sided at the ends, central in the middle
            rates = time_derivative(np.stack(frames), step, periodic=False)
            force = momentum_force(domain, frames[frame], fluid, acceleration=rates[frame])
            errors.append(pressure_error(domain, force.faces, pressures[frame]))
    table = np.reshape(errors, (len(CUBES), 3))
    assert all(rate(CUBES, list(column)) > 1.8 for column in table.T), table
    assert table[-1].max() < 0.03, table


def test_time_derivative_of_a_cycle_closes() -> None:
    phase = np.arange(64) / 64
    frames = np.sin(2 * np.pi * phase)[:, None]
    rates = time_derivative(frames, 1 / 64, periodic=True)
    np.testing.assert_allclose(rates[:, 0], 2 * np.pi * np.cos(2 * np.pi * phase), atol=0.02)


@pytest.mark.parametrize(("reynolds", "half_angle"), [(-60, 0.2), (-10, 0.2), (10, 0.1)])
def test_flow_between_inclined_walls_converges_with_no_slip(reynolds: float, half_angle: float) -> None:
    wedge, errors, widths = Wedge(half_angle, reynolds, 4e-3, BLOOD), [], [(8,) * 3, (12,) * 3, (18,) * 3]
    for across in widths:
        mask, points, spacing = wedge.lumen(across[0])
        domain = VoxelDomain(mask, spacing)
        velocity, pressure = wedge(points[mask])
        errors.append(pressure_error(domain, momentum_force(domain, velocity, BLOOD).faces, pressure))
    assert rate(widths, errors) > 1.7, errors
    assert errors[0] < 0.05, errors
