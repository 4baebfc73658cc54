"""Sets are intervals, cover as often as they say, and are refused where nothing can be certified."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxfield.grading import conformal
from voxfield.grading.conformal_predictor import ConformalPredictor
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


def drawn(patients: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Two rows a patient: probabilities that are too sure of low grades and too unsure of high ones, and grades."""
    rows = 2 * patients
    truth = rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1])
    off = truth + rng.normal(0, 0.3 + 0.4 * truth)
    p = np.exp(-1.5 * (np.arange(4) - off[:, None]) ** 2)
    return p / p.sum(1, keepdims=True), truth, np.arange(patients).repeat(2).tolist()


def predictor(patients: int, rng: np.random.Generator) -> ConformalPredictor:
    p, truth, owners = drawn(patients, rng)
    embedding = np.zeros((len(p), 1))
    return ConformalPredictor.fit(p, truth, owners, embedding, score="ranked", rule="random", rng=rng)


def test_per_grade_sets_cover_every_grade_where_marginal_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    found = {"marginal": np.zeros((150, 4)), "per_grade": np.zeros((150, 4))}
    for draw in range(150):
        made = predictor(200, rng)
        p, truth, _ = drawn(1000, rng)
        for of, hits in found.items():
            sets = made.sets(p, np.zeros((len(p), 1)), 0.9, of)
            assert sets is not None
            inside = (sets[0] <= truth) & (truth <= sets[1])
            hits[draw] = [inside[truth == g].mean() for g in range(4)]
    means = {of: hits.mean(0) for of, hits in found.items()}
    errors = found["per_grade"].std(0) / np.sqrt(150)
    assert (means["per_grade"] >= 0.9 - 3 * errors).all()
    assert means["marginal"].min() < 0.8  # the rare, hard grade


def test_one_score_a_patient_and_grade() -> None:
    p = np.full((5, 3), 1 / 3)
    truth, owners = [0, 0, 1, 1, 2], ["a", "a", "a", "b", "b"]
    made = ConformalPredictor.fit(
        p, truth, owners, np.arange(5.0)[:, None], score="ranked", rule="largest", rng=np.random.default_rng(0)
    )
    assert len(made.scores) == 2
    np.testing.assert_array_equal(made.grade, [0, 1, 1, 2])
    # the scores of grades 0, 1, 2 of a flat distribution: 5/9, 2/9, 5/9
    np.testing.assert_allclose(made.grade_scores, [5 / 9, 2 / 9, 2 / 9, 5 / 9])
    np.testing.assert_array_equal(made.embedding[:, 0], [0, 4])  # the rows of the largest scores


def test_a_grade_with_too_few_patients_is_refused_and_judged_marginally() -> None:
    own = np.linspace(0.1, 1, 30)
    grade = np.repeat([0, 1], [22, 8])
    made = ConformalPredictor("ranked", own, np.zeros((30, 1)), own, grade, 2)
    assert made.refused(0.9) == [1]
    facts = made.account(0.9, "per_grade")
    assert facts["per_grade"]["0"]["certified"]
    assert facts["per_grade"]["1"] == {"calibration_patients": 8, "certified": False}
    low, high = facts["per_grade"]["0"]["coverage_range_5_95"]
    assert f"grade 0 {low:.2f} to {high:.2f}" in made.claim(0.9, "per_grade")
    assert "not certifiable for grade 1" in made.claim(0.9, "per_grade")
    # thresholds by hand: the 21st of 22 own scores for grade 0, the 28th of all 30 for grade 1
    sure = np.array([[1.0, 0.0]])  # scores 0 and 1
    lows, highs = made.sets(sure, np.zeros((1, 1)), 0.9, "per_grade") or (None, None)
    assert (lows, highs) == (0, 0)
    wide = ConformalPredictor("ranked", own + 0.1, np.zeros((30, 1)), own, grade, 2)
    assert wide.sets(sure, np.zeros((1, 1)), 0.9, "per_grade") == (0, 1)


def test_gaps_between_grades_are_filled() -> None:
    p = np.array([[0.5, 0.0, 0.5]])  # scores .5, .5, .5
    low, high = conformal.grade_sets(p, [0.6, 0.1, 0.6])
    assert (low, high) == (0, 2)


def test_an_empty_predictor_certifies_nothing() -> None:
    made = ConformalPredictor.empty("ranked", 3)
    assert made.sets(np.full((1, 3), 1 / 3), np.zeros((1, 0)), 0.9, "per_grade") is None
    assert made.claim(0.9, "per_grade").startswith("not certifiable: 0 calibration patients")
