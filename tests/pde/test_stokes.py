"""The Stokes estimator: a dense saddle point system, exact and manufactured flows, and the drops by duality."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pde.exact import Tube, bent_tube
from voxfield.pde import EllipticSolver, Fluid, Lumen, VoxelDomain, momentum_force
from voxfield.pde._stokes import StokesEstimator, opening_flows

TUBES = {
    "aligned": Tube((40, 16, 16), (1e-3,) * 3, 5.4e-3, (1, 0, 0), 30e-3),
    "tilted": Tube((44, 36, 30), (1e-3,) * 3, 5.4e-3, (1, 0.5, 0.3), 28e-3),
    "plates": Tube((50, 30, 16), (0.8e-3, 1e-3, 1.6e-3), 5.4e-3, (1, -0.4, 0.2), 26e-3),
}


def random_force(domain: VoxelDomain, columns: int = 1) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((sum(domain.face_counts), columns))


def dense_system(domain: VoxelDomain) -> np.ndarray:
    """A over the interior faces, entry by entry: the neighbour, or the wall and how far away it is."""
    faces = [(axis, cell) for axis in range(3) for cell in domain.cells[domain.faces[axis][0]].tolist()]
    number = {(axis, *cell): row for row, (axis, cell) in enumerate(faces)}
    matrix = np.zeros((len(faces), len(faces)))
    for row, (axis, cell) in enumerate(faces):
        for along, side in product(range(3), (-1, 1)):
            beside = list(cell)
            beside[along] += side
            strength = domain.spacing[along] ** -2.0
            other = number.get((axis, *beside))
            if other is None:
                matrix[row, row] += strength if along == axis else 2 * strength
            else:
                matrix[row, row] += strength
                matrix[row, other] -= strength
    return matrix


@settings(max_examples=25, deadline=None)
@given(arrays(bool, st.tuples(*[st.integers(1, 4)] * 3)), st.integers(1, 2))
def test_it_solves_the_saddle_point_system_of_the_grid(mask: np.ndarray, columns: int) -> None:
    domain = VoxelDomain(mask, (1.0, 0.7, 1.9))
    force, count = random_force(domain, columns), sum(domain.face_counts)
    gradient = domain.gradient.toarray()
    system = np.block([[dense_system(domain), gradient], [gradient.T, np.zeros((domain.size, domain.size))]])
    rhs = np.vstack([force, np.zeros((domain.size, columns))])
    expected = np.linalg.lstsq(system, rhs, rcond=None)[0]
    found = StokesEstimator(domain, rtol=1e-10).estimate(force)
    np.testing.assert_allclose(found.flow, expected[:count], atol=1e-7)
    np.testing.assert_allclose(gradient @ found.pressure, gradient @ expected[count:], atol=1e-7)


def test_without_swirl_it_is_the_weak_form_and_nothing_moves() -> None:
    mask, _, spacing = bent_tube((24, 20, 14))
    domain = VoxelDomain(mask, spacing)
    pressure = np.random.default_rng(1).standard_normal((domain.size, 1))
    force = domain.gradient @ pressure
    found = StokesEstimator(domain, rtol=1e-8).estimate(force)
    weak = EllipticSolver(domain.stiffness, domain.cells, rtol=1e-10).solve(domain.divergence @ force).values
    np.testing.assert_allclose(found.pressure, weak, atol=1e-6)
    assert np.abs(found.flow).max() < 1e-6 * np.abs(force).max() * max(spacing) ** 2


def test_what_flows_balances_in_every_voxel() -> None:
    mask, _, spacing = bent_tube((24, 20, 14))
    domain = VoxelDomain(mask, spacing)
    found = StokesEstimator(domain, rtol=1e-9).estimate(random_force(domain, 3))
    loss = domain.divergence @ found.flow
    assert np.abs(loss).max() < 1e-8 * np.abs(found.flow).max() / min(spacing)
    assert (found.residual < 2e-9).all()


def manufactured(steps: tuple[int, int, int]) -> tuple[float, float]:
    """Errors (root mean square) of p and w in the unit cube: w = curl (0, 0, s(x) s(y) s(z)), s = sin^2."""
    shape = np.array(steps)
    domain = VoxelDomain(np.ones(steps, dtype=bool), (1 / steps[0], 1 / steps[1], 1 / steps[2]))
    pi = np.pi

    def s(t: np.ndarray, order: int) -> np.ndarray:
        waves = (np.sin(pi * t) ** 2, pi * np.sin(2 * pi * t), 2 * pi**2 * np.cos(2 * pi * t))
        return waves[order] if order < 3 else -4 * pi**3 * np.sin(2 * pi * t)

    def potential(points: np.ndarray, *orders: int) -> np.ndarray:
        return np.prod([s(t, order) for t, order in zip(points.T, orders, strict=True)], axis=0)

    def swirl(points: np.ndarray, axis: int, *more: int) -> np.ndarray:
        turned = [(0, 1), (1, 0)][axis]
        return (1, -1)[axis] * potential(points, *(np.array([*turned, 0]) + more))

    def slope(points: np.ndarray, axis: int) -> np.ndarray:
        x, y, z = points.T
        return (-pi * np.sin(pi * x) * np.cos(2 * y), -2 * np.cos(pi * x) * np.sin(2 * y), 2 * z)[axis]

    exact, force = [], []
    for axis in range(3):
        centres = (domain.cells[domain.faces[axis][0]] + 0.5 + (np.arange(3) == axis) / 2) / shape
        still = np.zeros(len(centres))
        laplacian = sum(swirl(centres, axis, *(2 * (np.arange(3) == k))) for k in range(3)) if axis < 2 else still
        exact.append(swirl(centres, axis, 0, 0, 0) if axis < 2 else still)
        force.append(slope(centres, axis) - laplacian)
    x, y, z = ((domain.cells + 0.5) / shape).T
    pressure = np.cos(pi * x) * np.cos(2 * y) + z**2
    found = StokesEstimator(domain, rtol=1e-8).estimate(np.concatenate(force)[:, None])
    return float((found.pressure[:, 0] - pressure).std()), float(
        np.sqrt(np.mean((found.flow[:, 0] - np.concatenate(exact)) ** 2))
    )


@pytest.mark.parametrize("plate", [(1, 1, 1), (1, 1, 0.5)], ids=["cubes", "plates"])
def test_a_manufactured_flow_is_found_with_second_order(plate: tuple[float, float, float]) -> None:
    steps = [16, 24, 32]
    errors = np.array([manufactured(tuple(int(n * share) for share in plate)) for n in steps])
    rates = [-np.polyfit(np.log(steps), np.log(column), 1)[0] for column in errors.T]
    assert min(rates) > 1.9, (rates, errors)


@pytest.mark.parametrize("tube", TUBES.values(), ids=TUBES)
def test_poiseuille_flow_is_exact(tube: Tube) -> None:
    """Without inertia, which the voxels of a tilted tube resolve to second order only."""
    lumen = Lumen(tube.mask, tube.marks, tube.spacing, 2)
    points = tube.points[lumen.domain.mask]
    velocity, pressure = tube.flow(points)
    force = momentum_force(lumen.domain, velocity, Fluid(0.0, 0.0035))
    found = StokesEstimator(lumen.domain, rtol=1e-8).estimate(force.faces[:, None]).pressure[:, 0]
    np.testing.assert_allclose(found, pressure - pressure.mean(), atol=1e-4 * tube.drop)
    drops = opening_flows(lumen).pressures(force.faces[:, None], force.cells[..., None])
    assert drops[2][0] == 0
    assert -drops[3][0] == pytest.approx(tube.drop, rel=0.01)


@pytest.mark.parametrize("speed", [None, TUBES["plates"].speed], ids=["plain", "with resistance"])
def test_one_flow_an_opening_tells_the_drops_of_every_force(speed: np.ndarray | None) -> None:
    tube = TUBES["plates"]
    lumen = Lumen(tube.mask, tube.marks, tube.spacing, 2, speed)
    faces = random_force(lumen.domain, 4)
    faces[:, :1] = lumen.domain.gradient @ np.random.default_rng(2).standard_normal((lumen.domain.size, 1))
    cells = np.random.default_rng(3).standard_normal((lumen.domain.size, 3, 4))
    pressure = StokesEstimator(lumen.domain, lumen.resistance, rtol=1e-9).estimate(faces).pressure
    expected = [plane.pressure(pressure, cells) for plane in (lumen.openings[3], lumen.openings[2])]
    flows = opening_flows(lumen)
    found = flows.pressures(faces, cells)[3]
    np.testing.assert_allclose(found, expected[0] - expected[1], atol=1e-3 * np.abs(faces).max() * max(tube.spacing))
    assert found[0] == pytest.approx(expected[0][0] - expected[1][0], rel=1e-6)  # a gradient: balance is all it takes
    assert flows.residual < 1e-8


def test_iterations_hardly_grow_with_the_length_of_a_tube() -> None:
    counts = []
    for length in (30, 120):
        domain = VoxelDomain(np.ones((length, 6, 6), dtype=bool), (1.0, 1.0, 1.0))
        counts.append(StokesEstimator(domain).estimate(random_force(domain) + 1).iterations)
    assert counts[1] <= counts[0] + 3 < 25


def test_an_opening_alone_has_no_flow() -> None:
    tube = TUBES["aligned"]
    mask = tube.mask.copy()
    mask[20:] = False
    lumen = Lumen(mask, tube.marks, tube.spacing, 2)
    found = opening_flows(lumen).pressures(random_force(lumen.domain), np.zeros((lumen.domain.size, 3, 1)))
    assert {label: value.tolist() for label, value in found.items()} == {2: [0.0]}
