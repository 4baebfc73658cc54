"""The posterior against a dense Gaussian process that is written with explicit matrices."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fields.flows import dense_covariance, dense_observation, small_box, small_data
from voxfield.fields._evidence import Evidence
from voxfield.fields._model import Model
from voxfield.fields._observation import Observation, Operator
from voxfield.fields._posterior import Posterior
from voxfield.fields._prior import MEAN_VARIANCE, Prior, Real, centred, divergence
from voxfield.fields._walls import WallPoints, wall_noise

MODEL = Model(length_mm=1.1, smoothness=2.5, noise_ratio=0.05, partial=1.3, correlation=0.5)


def walls() -> WallPoints:
    """Three points of a wall between neighbouring cells."""
    inside = np.array([[1, 2, 2], [2, 4, 1], [0, 1, 2]])
    outside = inside + np.eye(3, dtype=np.int64)
    normal = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0.28, 0.96]])
    return WallPoints(inside, outside, np.array([0.3, 0.5, 0.8]), normal)


def dense_system(observation: Observation, model: Model) -> tuple[Real, Real, Real, Real]:
    """Cov of centres, G, noise and data of a small problem, everything flat with components slowest."""
    data = small_data(observation)
    covariance = dense_covariance(observation, model.length_mm, model.smoothness)
    rows = dense_observation(observation, data.voxels)
    cells = rows.shape[1]
    seen = [np.kron(np.eye(3), row[None]) for row in rows]
    noise = list(data.noise(model))
    values = [*data.values[:, :, 0]]
    if model.condition != "none":
        wall = walls()
        number = np.arange(cells).reshape(observation.box.shape)
        for place in range(len(wall.share)):
            row = np.zeros((1, cells))
            row[0, number[tuple(wall.inside[place])]] = 1 - wall.share[place]
            row[0, number[tuple(wall.outside[place])]] = wall.share[place]
            seen.append(np.kron(np.eye(3), row))
            values.append(np.zeros(3))
        noise.extend(wall_noise(model.condition, wall.normal, model.wall_ratio * model.noise_ratio))
    spread = np.zeros((3 * len(noise), 3 * len(noise)))
    for place, block in enumerate(noise):
        spread[3 * place : 3 * place + 3, 3 * place : 3 * place + 3] = block
    return covariance, np.concatenate(seen), spread, np.concatenate(values)


CASES = [
    (1, "cell-average", MODEL),
    (2, "cell-average", MODEL),
    (2, "corner-aligned", MODEL),
    (1, "cell-average", replace(MODEL, condition="no-slip", wall_ratio=0.5)),
    (2, "cell-average", replace(MODEL, condition="no-slip", wall_ratio=0.5)),
    (2, "corner-aligned", replace(MODEL, condition="no-penetration", wall_ratio=0.5)),
]


@pytest.mark.parametrize(("refine", "operator", "model"), CASES)
def test_mean_and_variance_are_those_of_dense_algebra(refine: int, operator: Operator, model: Model) -> None:
    observation = small_box(refine, operator)
    data = small_data(observation)
    evidence = Evidence(observation, data, {0.5: walls()})
    posterior = Posterior(evidence, model, variance=1.0)
    faces, _ = posterior.mean(data.values[:, :, 0], tolerance=1e-12)
    covariance, seen, noise, values = dense_system(observation, model)
    gain = np.linalg.solve(seen @ covariance @ seen.T + noise, seen @ covariance).T
    mean = (gain @ values).reshape(3, *observation.box.shape)
    np.testing.assert_allclose(centred(faces), mean, atol=1e-9 * np.abs(mean).max())
    variance = np.diag(covariance - gain @ seen @ covariance).reshape(3, -1).T
    cells = np.argwhere(np.ones(observation.box.shape, dtype=bool))
    np.testing.assert_allclose(posterior.kriging_variance(cells), variance, atol=1e-9)


@pytest.mark.parametrize("model", [CASES[1][2], CASES[3][2]])
def test_evidence_is_that_of_dense_algebra(model: Model) -> None:
    observation = small_box(2)
    evidence = Evidence(observation, small_data(observation), {0.5: walls()}, noise_sd=0.3)
    covariance, seen, noise, values = dense_system(observation, model)
    variance = 0.3**2 / model.noise_ratio
    total = variance * (seen @ covariance @ seen.T + noise)
    count = 3 * len(evidence.measured.voxels)
    expected = _log_density(total, values) - (_log_density(total[count:, count:], values[count:]))
    assert evidence(model).log_evidence == pytest.approx(expected, abs=1e-8)
    assert evidence.is_exact


def _log_density(covariance: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    if not len(values):
        return 0.0
    _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
    return float(-0.5 * log_determinant - 0.5 * values @ np.linalg.solve(covariance, values))


def test_profiled_variance_maximises_the_evidence() -> None:
    observation = small_box(2)
    data = small_data(observation)
    best = Evidence(observation, data, {})(MODEL)
    for factor in (0.8, 1.25):
        noise_sd = float(np.sqrt(factor * best.variance * MODEL.noise_ratio))
        assert Evidence(observation, data, {}, noise_sd=noise_sd)(MODEL).log_evidence < best.log_evidence


def test_draws_have_the_covariance_of_the_prior_and_no_divergence() -> None:
    observation = small_box(1)
    prior = Prior(observation.box, 1.1, 2.5)
    rng = np.random.default_rng(0)
    draws = [prior.draw(rng) for _ in range(3000)]
    worst = max(np.abs(divergence(d, observation.box.spacing)).max() for d in draws[:20])
    assert worst < 1e-12
    centres = np.stack([centred(d).reshape(3, -1) for d in draws])
    means = centres.mean(axis=2, keepdims=True)
    flat = (centres - means).reshape(len(draws), -1)
    cells = flat.shape[1] // 3
    uniform = MEAN_VARIANCE * np.kron(np.eye(3), np.ones((cells, cells)))
    expected = dense_covariance(observation, 1.1, 2.5) - uniform
    # Six standard errors of covariances from 3000 draws.
    assert np.abs(flat.T @ flat / len(draws) - expected).max() < 0.12
    assert np.abs(np.cov(means[:, :, 0].T) / MEAN_VARIANCE - np.eye(3)).max() < 0.16


def test_draws_of_the_posterior_have_its_mean_and_variance() -> None:
    observation = small_box(2)
    data = small_data(observation)
    posterior = Posterior(Evidence(observation, data, {}), MODEL, variance=2.0)
    mean, _ = posterior.mean(data.values[:, :, 0])
    rng = np.random.default_rng(1)
    draws = np.stack([d for d, _ in posterior.draws(data.values[:, :, 0], 400, rng)])
    centres = np.stack([centred(d) for d in draws]) - centred(mean)
    cells = np.argwhere(np.ones(observation.box.shape, dtype=bool))
    variance = posterior.kriging_variance(cells).T.reshape(centres.shape[1:])
    assert np.abs(centres.mean(axis=0) / np.sqrt(variance / len(draws))).max() < 5
    np.testing.assert_allclose(np.square(centres).mean(axis=0).mean(), variance.mean(), rtol=0.05)


def test_without_noise_the_mean_goes_through_the_data() -> None:
    observation = small_box(2)
    data = small_data(observation)
    posterior = Posterior(Evidence(observation, data, {}), replace(MODEL, noise_ratio=1e-10), variance=1.0)
    faces, _ = posterior.mean(data.values[:, :, 0], tolerance=1e-12)
    np.testing.assert_allclose(posterior.map.observe(centred(faces)), data.values[:, :, 0], atol=1e-6)
