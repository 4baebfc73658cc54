"""Sets are intervals, cover as often as they say, and are refused where nothing can be certified."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxfield.grading import conformal
from voxfield.grading.metrics.scores import median_grade

MASSES = arrays(np.float64, (6, 5), elements=st.floats(0, 1)).map(
    lambda a: (a + 1e-9) / (a + 1e-9).sum(1, keepdims=True)
)
SCORES = ("ranked", "cdf")


def test_ranked_scores_by_hand() -> None:
    # F = (.2, .7): grade 0: .64 + .09, grade 1: .04 + .09, grade 2: .04 + .49
    np.testing.assert_allclose(conformal.grade_scores([[0.2, 0.5, 0.3]]), [[0.73, 0.13, 0.53]])


def test_cdf_scores_by_hand() -> None:
    # max(1/2 - F_y, F_{y-1} - 1/2)
    np.testing.assert_allclose(conformal.grade_scores([[0.2, 0.5, 0.3]], "cdf"), [[0.3, -0.2, 0.2]])


@given(MASSES, st.sampled_from(SCORES), st.floats(-0.5, 4))
@settings(max_examples=100, deadline=None)
def test_sets_are_intervals_around_the_median(p: np.ndarray, score: conformal.Score, quantile: float) -> None:
    values = conformal.grade_scores(p, score)
    low, high = conformal.grade_sets(p, quantile, score)
    middle = median_grade(p)
    assert ((low <= middle) & (middle <= high)).all()
    grades = np.arange(5)[None]
    inside = (grades >= low[:, None]) & (grades <= high[:, None])
    # everything within the threshold is inside, and nothing inside exceeds it by more than round-off
    assert inside[values <= quantile].all()
    kept = inside & (grades != middle[:, None])
    assert (values[kept] <= quantile + 1e-12).all()


@given(MASSES, st.sampled_from(SCORES))
@settings(max_examples=50, deadline=None)
def test_a_higher_threshold_never_shrinks_a_set(p: np.ndarray, score: conformal.Score) -> None:
    small, large = conformal.grade_sets(p, 0.1, score), conformal.grade_sets(p, 0.3, score)
    assert (large[0] <= small[0]).all()
    assert (large[1] >= small[1]).all()


@pytest.mark.parametrize(("alpha", "needed"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.5, 1), (0.3, 3)])
def test_too_few_patients_are_refused(alpha: float, needed: int) -> None:
    assert conformal.needed_patients(alpha) == needed
    assert conformal.threshold(np.arange(needed - 1.0), alpha) is None
    assert conformal.threshold(np.arange(needed + 0.0), alpha) == needed - 1


def test_threshold_is_the_right_order_statistic() -> None:
    # n = 19, alpha = .1: the ceil(20 * .9) = 18th smallest
    assert conformal.threshold(np.arange(19.0)[::-1], 0.1) == 17.0


@pytest.mark.parametrize("count", [9, 20, 50])
def test_mean_coverage_of_exchangeable_scores(count: int) -> None:
    """E[coverage] = ceil((n + 1)(1 - alpha)) / (n + 1), inside [1 - alpha, 1 - alpha + 1 / (n + 1)]."""
    alpha, draws, rng = 0.1, 4000, np.random.default_rng(count)
    thresholds = np.array([conformal.threshold(s, alpha) for s in rng.random((draws, count))])
    mean, error = thresholds.mean(), thresholds.std() / np.sqrt(draws)  # uniform scores: coverage = threshold
    assert 1 - alpha - 3 * error <= mean <= 1 - alpha + 1 / (count + 1) + 3 * error
    low, high = conformal.coverage_range(count, alpha)
    assert np.mean((thresholds > low) & (thresholds < high)) == pytest.approx(0.9, abs=0.02)


def test_mean_coverage_of_grade_sets_with_two_rows_a_patient() -> None:
    """The whole way from probabilities to sets: the rule `random` covers one row of a new patient as stated."""
    rng, alpha = np.random.default_rng(0), 0.2
    hits = []
    for _ in range(600):
        shift = rng.normal(0, 1, 41).repeat(2)  # rows of a patient share their difficulty
        p = np.exp(rng.normal(0, 1, (82, 5)) - 0.5 * (np.arange(5) - 2 - shift[:, None]) ** 2)
        p /= p.sum(1, keepdims=True)
        truth = np.array([rng.choice(5, p=row) for row in p])
        own = conformal.grade_scores(p)[np.arange(82), truth]
        patients = np.arange(41).repeat(2).tolist()
        scores = conformal.patient_scores(own[:80], patients[:80], rng)
        quantile = conformal.threshold(scores, alpha)
        assert quantile is not None
        low, high = conformal.grade_sets(p[80:], quantile)
        row = int(rng.integers(2))
        hits.append(low[row] <= truth[80 + row] <= high[row])
    assert 0.8 - 0.05 < np.mean(hits) < 0.8 + 0.05  # 3 standard errors of 600 draws


def test_largest_score_a_patient_is_never_below_a_random_one() -> None:
    values, patients = [0.1, 0.5, 0.3, 0.2], ["a", "a", "b", "b"]
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(conformal.patient_scores(values, patients, rng, "largest"), [0.5, 0.3])
    random = conformal.patient_scores(values, patients, rng)
    assert random.shape == (2,)
    assert set(random) <= set(values)


def test_coverage_range_of_the_notes() -> None:
    np.testing.assert_allclose(conformal.coverage_range(10, 0.1), (0.741, 0.995), atol=0.001)
    np.testing.assert_allclose(conformal.coverage_range(100, 0.1), (0.85, 0.94), atol=0.01)
    low, high = conformal.coverage_range(100, 0.1, test_patients=20)
    assert low < 0.85
    assert high > 0.94
