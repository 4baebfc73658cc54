"""Scattered vector fields: the kernel against its potentials, exact conditioning, coverage, and what a fit finds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfield.errors import InputError
from voxfield.fields.scattered import ScatteredGP, Settings, fit
from voxfield.fields.scattered._field import NEIGHBOURS, Component
from voxfield.fields.scattered._helmholtz import covariance

Real = NDArray[np.float64]
STEP = 1e-4


def settings(**given: float) -> Settings:
    return Settings(
        **{"smoothness": 2.5, "solenoidal": 0.8, "irrotational": 0.6, "share": 0.3, "noise_ratio": 0.01, **given}
    )


def divergence_and_curl(first: Real, second: Real, chosen: Settings) -> tuple[float, float]:
    """Largest divergence and curl of the covariance with a fixed vector at `second`, as a field of `first`."""
    axes = len(first)
    rows = [
        (
            covariance((first + STEP * e)[None], second[None], chosen)
            - covariance((first - STEP * e)[None], second[None], chosen)
        )
        for e in np.eye(axes)
    ]
    gradient = np.stack(rows)[:, 0, :, 0, :] / (2 * STEP)  # derivative, component, fixed component
    curl = max(np.abs(gradient[a, b] - gradient[b, a]).max() for a in range(axes) for b in range(axes))
    return float(np.abs(np.einsum("aak->k", gradient)).max()), float(curl)


@pytest.mark.parametrize("smoothness", [1.5, 2.5, np.inf])
@pytest.mark.parametrize("axes", [2, 3])
def test_parts_have_no_divergence_and_no_curl(smoothness: float, axes: int) -> None:
    first, second = np.random.default_rng(0).standard_normal((2, axes))
    divergence, curl = divergence_and_curl(first, second, settings(smoothness=smoothness, share=0.0))
    assert divergence < 1e-6 < curl
    divergence, curl = divergence_and_curl(first, second, settings(smoothness=smoothness, share=1.0))
    assert curl < 1e-6 < divergence


@pytest.mark.parametrize("smoothness", [0.5, 1.5, 2.5, np.inf])
def test_covariance_is_positive_with_unit_variance(smoothness: float) -> None:
    points = np.random.default_rng(1).standard_normal((40, 3))
    matrix = covariance(points, points, settings(smoothness=smoothness)).reshape(120, 120)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    assert np.linalg.eigvalsh(matrix).min() > -1e-10


def drawn(chosen: Settings, points: Real, rng: np.random.Generator) -> Real:
    size = points.size
    root = np.linalg.cholesky(covariance(points, points, chosen).reshape(size, size) + 1e-9 * np.eye(size))
    field: Real = (root @ rng.standard_normal(size)).reshape(points.shape)
    return field


def test_prediction_and_samples_are_those_of_dense_algebra() -> None:
    rng = np.random.default_rng(2)
    chosen = settings()
    points, targets = rng.standard_normal((20, 2)), rng.standard_normal((6, 2))
    values = rng.standard_normal((20, 2))
    found = ScatteredGP(points, values, [Component(chosen, 2.0, 1.0)])
    total = covariance(points, points, chosen).reshape(40, 40) + chosen.noise_ratio * np.eye(40)
    cross = covariance(targets, points, chosen).reshape(12, 40)
    gain = np.linalg.solve(total, cross.T).T
    spread = 2.0 * (covariance(targets, targets, chosen).reshape(12, 12) - gain @ cross.T)
    told = found.predict(targets)
    np.testing.assert_allclose(told.mean.ravel(), gain @ values.ravel(), atol=1e-6)
    np.testing.assert_allclose(np.square(told.sd).ravel(), np.diag(spread), atol=1e-6)
    assert NEIGHBOURS > 26  # so that every target of a sample is conditioned on all points
    draws = found.sample(4000, rng, targets).reshape(4000, 12)
    np.testing.assert_allclose(draws.mean(axis=0), told.mean.ravel(), atol=5 * told.sd.max() / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(draws.T), spread, atol=0.12 * spread.max())


def test_interval_covers_with_learned_settings() -> None:
    rng = np.random.default_rng(3)
    chosen = settings(noise_ratio=0.05)
    inside = []
    for _ in range(50):
        points = rng.uniform(0, 2, (24, 2))
        field = drawn(chosen, points, rng)
        noisy = field[:16] + np.sqrt(chosen.noise_ratio) * rng.standard_normal((16, 2))
        told = fit(points[:16], noisy, sweep=256).predict(points[16:])
        inside.append(np.mean(np.abs(told.mean - field[16:]) <= 1.96 * told.sd))
    assert 0.92 < np.mean(inside) < 0.98


def test_a_fit_tells_a_vortex_from_a_source() -> None:
    points = np.random.default_rng(4).uniform(-1, 1, (30, 2))
    out = points * np.exp(-np.square(points).sum(axis=1, keepdims=True))
    vortex = out @ np.array([[0.0, 1.0], [-1.0, 0.0]])

    def share(values: Real) -> float:
        return sum(c.weight * c.settings.share for c in fit(points, values).components)

    assert share(vortex) < 0.1
    assert share(out) > 0.9


def test_refusals() -> None:
    points = np.zeros((5, 2))
    with pytest.raises(InputError, match="expected both"):
        fit(points, np.zeros((5, 3)))
    with pytest.raises(InputError, match="at least 3"):
        fit(points[:2], points[:2])
    with pytest.raises(InputError, match="finite"):
        fit(points, np.full((5, 2), np.nan))
    with pytest.raises(InputError, match="every vector is zero"):
        fit(points, np.zeros((5, 2)))
