"""Likelihood-ratio regularized quantile regression: its first-order condition, and coverage where r is known."""

import numpy as np
import pytest
from scipy.stats import norm

from voxfield.errors import SettingsError
from voxfield.grading import covariate_shift as lr_qr
from voxfield.grading.conformal import threshold
from voxfield.grading.conformal_predictor import ConformalPredictor

LEVEL = 0.9


def scans(count: int, rng: np.random.Generator, *, shifted: bool) -> np.ndarray:
    """Embeddings: the first of three is uniform in 0..1 at the source, of density 2 x at the target: r(x) = 2 x."""
    x = rng.random((count, 3))
    if shifted:
        x[:, 0] = np.sqrt(x[:, 0])
    return x


def scores_of(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half-normal scores whose scale grows with the first coordinate."""
    return np.abs(rng.normal(size=len(x))) * (0.3 + 1.5 * x[:, 0])


def coverage(thresholds: np.ndarray, x: np.ndarray) -> float:
    """Exact over scores, mean over scans."""
    return float((2 * norm.cdf(np.maximum(thresholds, 0) / (0.3 + 1.5 * x[:, 0])) - 1).mean())


def fitted(source: np.ndarray, scores: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> lr_qr.Shift:
    ones = np.ones(len(target))
    return lr_qr.fit_shift(
        source, scores, target, ones, coverage=LEVEL, directions=3, target_patients=len(target), rng=rng
    )


def test_coverage_is_restored_where_the_uncorrected_threshold_misses() -> None:
    rng = np.random.default_rng(0)
    draws = 40
    corrected, plain = np.zeros(draws), np.zeros(draws)
    for draw in range(draws):
        source, target, new = (scans(n, rng, shifted=s) for n, s in ((200, False), (400, True), (4000, True)))
        scores = scores_of(source, rng)
        corrected[draw] = coverage(fitted(source, scores, target, rng).threshold(new), new)
        plain[draw] = coverage(np.full(len(new), threshold(scores, 1 - LEVEL)), new)
    error = corrected.std() / np.sqrt(draws)
    assert corrected.mean() >= LEVEL - 3 * error
    assert corrected.mean() <= LEVEL + 3 * error + 0.02  # what regularization adds, see the next test
    assert plain.mean() < 0.87


@pytest.mark.parametrize("strength", [0.02, 0.2, 1.0])
def test_first_order_condition_in_the_direction_of_the_likelihood_ratio(strength: float) -> None:
    """E_source[r_H 1{s <= h}] = level + 2 b lambda E_source[(r_H - b h)^2], up to p of n rows on the threshold."""
    rng = np.random.default_rng(1)
    source, target = scans(4000, rng, shifted=False), scans(4000, rng, shifted=True)
    scores = scores_of(source, rng)
    mean, axes = lr_qr.principal_axes(source, target, np.ones(4000), 3)
    f, g = lr_qr.features(source, mean, axes), lr_qr.features(target, mean, axes)
    sample = lr_qr.Sample(f, scores / np.quantile(scores, LEVEL), g, np.full(4000, 1 / 4000))
    h = f @ lr_qr.regress(sample, LEVEL, strength)
    ratio = f @ np.linalg.solve(f.T @ f / 4000, g.mean(0))
    np.testing.assert_allclose(ratio, 2 * source[:, 0], atol=0.25)  # the projection is the true ratio
    b = (ratio * h).mean() / (h**2).mean()
    weighted = (ratio * (sample.score <= h)).mean()
    assert weighted == pytest.approx(LEVEL + 2 * b * strength * ((ratio - b * h) ** 2).mean(), abs=0.005)
    assert weighted >= LEVEL - 0.001


def test_without_features_it_is_split_conformal() -> None:
    rng = np.random.default_rng(2)
    source = np.zeros((99, 2))
    scores = rng.random(99)
    shift = fitted(source, scores, np.zeros((50, 2)), rng)
    assert shift.axes.shape == (2, 0)
    assert shift.threshold(np.zeros((1, 2)))[0] == pytest.approx(threshold(scores, 0.1), abs=0.02)
    assert shift.divergence == pytest.approx(0, abs=1e-9)


def test_divergence_is_that_of_the_known_ratio() -> None:
    rng = np.random.default_rng(3)
    source, target = scans(20000, rng, shifted=False), scans(20000, rng, shifted=True)
    scores = scores_of(source[:100], rng)
    mean, axes = lr_qr.principal_axes(source, target, np.ones(20000), 3)
    f, g = lr_qr.features(source, mean, axes), lr_qr.features(target, mean, axes)
    # E[(2 x)^2] - 1 = 1 / 3
    assert g.mean(0) @ np.linalg.solve(f.T @ f / 20000, g.mean(0)) - 1 == pytest.approx(1 / 3, abs=0.03)
    assert fitted(source[:100], scores, target[:200], rng).divergence > 0


def test_an_adapted_predictor_answers_only_what_it_was_adapted_to() -> None:
    rng = np.random.default_rng(4)
    source, target = scans(60, rng, shifted=False), scans(60, rng, shifted=True)
    scores = scores_of(source, rng)
    shift = fitted(source, scores, target, rng)
    made = ConformalPredictor("ranked", scores, source, scores, np.zeros(60, dtype=np.int64), 3, shift)
    p = np.full((60, 3), 1 / 3)
    assert made.sets(p, target, 0.9, "marginal") is not None
    assert "covariate shift alone" in made.claim(0.9, "marginal")
    assert "coverage_range_5_95" not in made.account(0.9, "marginal")
    for coverage_, of in ((0.8, "marginal"), (0.9, "per_grade")):
        with pytest.raises(SettingsError, match=r"adapted to another site for marginal coverage at 0\.9"):
            made.sets(p, target, coverage_, of)
