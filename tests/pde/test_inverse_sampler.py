"""Populations against a posterior that is known exactly."""

import numpy as np
import pytest

from voxfield.pde.inverse._sampler import Effort, Population, anneal, prior_population

MATRIX = np.array([[1.0, 0.5, 0.0, 0.2], [0.0, 1.0, -1.0, 0.0], [0.3, 0.0, 0.0, 2.0]])
SEEN, SD = np.array([1.0, -0.5, 2.0]), 0.4
COVARIANCE = np.linalg.inv(np.eye(4) + MATRIX.T @ MATRIX / SD**2)
MEAN = COVARIANCE @ MATRIX.T @ SEEN / SD**2
SPREAD = MATRIX @ MATRIX.T + SD**2 * np.eye(3)
# of the likelihood without its constant
EVIDENCE = -0.5 * SEEN @ np.linalg.solve(SPREAD, SEEN) - 0.5 * np.linalg.slogdet(SPREAD)[1] + 3 * np.log(SD)
EFFORT = Effort(draws=2000, moves=5, last=6)


def likelihood(shift: float = 0.0, sd: float = SD):  # type: ignore[no-untyped-def]
    return lambda z: -0.5 * (((z @ MATRIX.T - SEEN - shift) / sd) ** 2).sum(axis=1)


def assert_exact(found: Population) -> None:
    noise = np.sqrt(np.diag(COVARIANCE) / 500)  # of at least 500 independent draws in 2000
    assert np.all(np.abs(found.draws.mean(axis=0) - MEAN) < 4 * noise)
    np.testing.assert_allclose(np.cov(found.draws.T), COVARIANCE, atol=0.2 * np.diag(COVARIANCE).max())
    assert found.log_evidence == pytest.approx(EVIDENCE, abs=0.3)


def test_linear_gaussian_posterior_and_evidence() -> None:
    rng = np.random.default_rng(0)
    found = anneal(prior_population(2000, 4, rng), likelihood(), EFFORT, rng)
    assert_exact(found)
    np.testing.assert_allclose(found.log_likelihood, likelihood()(found.draws))
    assert found.temperatures >= 3
    assert found.evaluations == 2000 * (1 + 5 * (found.temperatures - 1) + 30)


def test_a_wrong_likelihood_is_corrected() -> None:
    rng = np.random.default_rng(1)
    wrong = likelihood(shift=0.5, sd=0.6)
    rough = anneal(prior_population(2000, 4, rng), wrong, EFFORT, rng)
    assert np.abs(rough.draws.mean(axis=0) - MEAN).max() > 0.2
    assert_exact(anneal(rough, likelihood(), EFFORT, rng, source=wrong))


def test_two_modes_keep_their_weights() -> None:
    """z^2 observed: both signs are as likely."""
    rng = np.random.default_rng(2)
    found = anneal(prior_population(1000, 1, rng), lambda z: -200 * (z[:, 0] ** 2 - 1) ** 2, Effort(1000, 5), rng)
    assert np.mean(found.draws > 0) == pytest.approx(0.5, abs=0.12)
    assert np.abs(found.draws).mean() == pytest.approx(1, abs=0.03)


def test_flat_likelihood_leaves_the_prior() -> None:
    rng = np.random.default_rng(3)
    found = anneal(prior_population(500, 3, rng), lambda z: np.zeros(len(z)), Effort(500, 5), rng)
    assert found.temperatures == 1
    assert found.log_evidence == pytest.approx(0)
    assert len(np.unique(found.ancestors)) == 500
    assert found.draws.var() == pytest.approx(1, abs=0.1)


def test_seed_decides() -> None:
    runs = [np.random.default_rng(5) for _ in range(2)]
    one, other = (anneal(prior_population(50, 4, rng), likelihood(), Effort(50, 5), rng).draws for rng in runs)
    np.testing.assert_array_equal(one, other)
