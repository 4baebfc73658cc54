"""Darcy flow for inversion: against the general solver, exact values and differences; the level-set prior."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from pde.inversions import PRIOR, seen
from voxfield.pde.finite_volume._discretisation import Discretisation
from voxfield.pde.finite_volume._faces import CellAxis
from voxfield.pde.inverse._darcy import centres, permeability_gradient, sampling_matrix, solve_darcy
from voxfield.pde.inverse._level_set import LevelSetPrior, cosine_table
from voxfield.pde.problem.operator import Operator, Term


def test_solves_the_equations_of_the_general_solver_where_the_permeability_is_constant() -> None:
    laplace = Operator(terms=(Term(2.0, (2, 0)), Term(2.0, (0, 2))))
    axes = (CellAxis(0.0, 1.0, 9, ("dirichlet", "dirichlet")),) * 2
    zero = {(axis, end): lambda *_: np.zeros(()) for axis in range(2) for end in range(2)}
    pressure = solve_darcy(np.full((9, 9), 2.0), 3.0).pressure
    np.testing.assert_allclose(Discretisation(laplace, axes, zero).matrix @ pressure.ravel(), -3.0, rtol=1e-10)


def test_a_wall_along_the_faces_splits_the_flow_as_it_does_in_one_dimension() -> None:
    """Far from the ends of a strip that is many times longer than wide, by stretching: a depends on x alone."""
    n = 40
    a = np.where(np.arange(n) < n // 2, 1.0, 4.0)[:, None] * np.ones((n, n))
    u = solve_darcy(a, 1.0).pressure
    through = 2 * a[:-1] * a[1:] / (a[:-1] + a[1:]) * np.diff(u, axis=0)
    up = 2 * a[:, :-1] * a[:, 1:] / (a[:, :-1] + a[:, 1:]) * np.diff(u, axis=1)
    balance = np.diff(through, axis=0)[:, 1:-1] + np.diff(up, axis=1)[1:-1]
    np.testing.assert_allclose(balance, -1 / n**2, rtol=1e-8)


def test_converges_with_second_order_to_a_series() -> None:
    """-lap u = 1: u in the middle is .07367135 (Timoshenko's series for torsion)."""
    errors = [abs(solve_darcy(np.ones((n, n)), 1.0).pressure[n // 2, n // 2] - 0.0736713532) for n in (15, 45)]
    assert np.log(errors[0] / errors[1]) / np.log(3) == pytest.approx(2, abs=0.1)


def test_gradient_is_that_of_differences() -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((6, 6))

    def value(a: np.ndarray) -> float:
        return float((weights * solve_darcy(a.reshape(6, 6), 10.0).pressure ** 2).sum())

    def gradient(a: np.ndarray) -> np.ndarray:
        flow = solve_darcy(a.reshape(6, 6), 10.0)
        return permeability_gradient(a.reshape(6, 6), flow, 2 * weights * flow.pressure).ravel()

    start = rng.uniform(1, 5, 36)
    assert check_grad(value, gradient, start) < 1e-5 * np.linalg.norm(gradient(start))


def test_sampling_is_exact_for_bilinear_functions_and_zero_on_the_boundary() -> None:
    points = np.random.default_rng(1).uniform(0.1, 0.9, (50, 2))
    x = centres(8)
    plane = (1 + 2 * x)[:, None] * (3 - x)
    expected = (1 + 2 * points[:, 0]) * (3 - points[:, 1])
    np.testing.assert_allclose(sampling_matrix(points, 8) @ plane.ravel(), expected)
    edge = np.array([[0.0, 0.3], [1.0, 0.3], [0.4, 0.0], [0.4, 1.0]])
    np.testing.assert_allclose(sampling_matrix(edge, 8) @ plane.ravel(), 0, atol=1e-12)


def test_level_has_unit_variance_and_decaying_waves() -> None:
    prior = LevelSetPrior(1.0, 2.0, 16, waves=6)
    draws = prior.level(np.random.default_rng(0).standard_normal((4000, prior.size)))
    assert draws.var() == pytest.approx(1, rel=0.05)
    assert draws.mean(axis=(1, 2)) == pytest.approx(0, abs=1e-12)
    assert prior.deviations[0] / prior.deviations[1] == pytest.approx((4 * np.pi**2 + 9) / (np.pi**2 + 9))


def test_cosines_are_orthonormal_and_the_same_on_finer_cells() -> None:
    table = cosine_table(5, 12)
    np.testing.assert_allclose(table @ table.T / 12, np.eye(5), atol=1e-12)
    z = np.random.default_rng(3).standard_normal(PRIOR.size)
    np.testing.assert_allclose(PRIOR.field(z, refine=3)[1::3, 1::3], PRIOR.field(z))


def test_fields_have_two_values() -> None:
    a, observations = seen(0, 7, 0.05)
    assert set(np.unique(a)) == {5.0, 10.0}
    assert observations.values.shape == (7,)
