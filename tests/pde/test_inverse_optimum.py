"""The point estimate: its gradient, and that it comes near to what was observed."""

import numpy as np

from pde.inversions import PRIOR, seen
from voxfield.pde.inverse._darcy import sampling_matrix, solve_darcy
from voxfield.pde.inverse._optimum import likeliest, smooth_objective


def test_gradient_is_that_of_differences() -> None:
    _, observations = seen(1, 30, 0.05)
    objective = smooth_objective(PRIOR, observations, 10.0)
    at = np.random.default_rng(0).standard_normal(PRIOR.size)
    _, gradient = objective(at, 0.3)
    steps = 1e-5 * np.eye(PRIOR.size)
    differences = [(objective(at + step, 0.3)[0] - objective(at - step, 0.3)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-4 * np.abs(gradient).max())


def test_likeliest_explains_the_observations_and_is_nearer_than_the_prior() -> None:
    truth, observations = seen(3, 100, 0.02)
    found = PRIOR.field(likeliest(PRIOR, observations, 10.0))
    predicted = sampling_matrix(observations.points, 13) @ solve_darcy(found, 10.0).pressure.ravel()
    before = sampling_matrix(observations.points, 13) @ solve_darcy(np.full_like(truth, 7.5), 10.0).pressure.ravel()
    assert np.linalg.norm(predicted - observations.values) < 0.5 * np.linalg.norm(before - observations.values)
    assert np.mean(found == truth) > 0.8
