"""Scores against hand-worked cases, scikit-learn and torchmetrics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn import metrics as peer

from voxfield.grading.metrics import scores
from voxfield.grading.metrics.card import SCORES, report_card, set_card
from voxfield.grading.metrics.scores import median_grade
from voxfield.grading.metrics.smooth import smooth_error

GRADES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40)


def test_confusion_by_hand() -> None:
    matrix = scores.confusion([0, 0, 1, 2], [0, 1, 1, 0], 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    assert scores.balanced_accuracy(matrix) == pytest.approx((0.5 + 1 + 0) / 3)
    assert scores.mean_absolute_error(matrix) == pytest.approx((0 + 1 + 0 + 2) / 4)
    assert scores.mean_squared_error(matrix) == pytest.approx((0 + 1 + 0 + 4) / 4)
    assert scores.accuracy(matrix) == 0.5
    # observed 1 + 4 = 5; expected sum_ij r_i c_j (i - j)^2 / 4 = (2*(2*1) + 1*2 + 1*(2*4 + 2*1)) / 4 = 16 / 4
    assert scores.quadratic_kappa(matrix) == pytest.approx(1 - 5 / 4)


@given(GRADES)
@settings(max_examples=40, deadline=None)
def test_scores_equal_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = (list(column) for column in zip(*pairs, strict=True))
    matrix = scores.confusion(truth, predicted, 5)
    np.testing.assert_array_equal(matrix, peer.confusion_matrix(truth, predicted, labels=range(5)))
    recalls = peer.recall_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0)
    assert scores.balanced_accuracy(matrix) == pytest.approx(recalls, abs=1e-12)
    assert scores.mean_absolute_error(matrix) == pytest.approx(peer.mean_absolute_error(truth, predicted))
    assert scores.mean_squared_error(matrix) == pytest.approx(peer.mean_squared_error(truth, predicted))
    if len(set(truth) | set(predicted)) > 1:
        kappa = peer.cohen_kappa_score(truth, predicted, weights="quadratic", labels=range(5))
        assert scores.quadratic_kappa(matrix) == pytest.approx(kappa, abs=1e-12)
    else:
        assert np.isnan(scores.quadratic_kappa(matrix))


def test_auc_equals_scikit_learn_with_ties_and_weights() -> None:
    rng = np.random.default_rng(0)
    positive, score = rng.random(60) < 0.4, rng.integers(0, 7, 60)
    weights = rng.integers(0, 3, (3, 60)).astype(float)
    assert scores.auc(positive, score) == pytest.approx(peer.roc_auc_score(positive, score))
    expected = [peer.roc_auc_score(positive, score, sample_weight=w) for w in weights]
    np.testing.assert_allclose(scores.auc(positive, score, weights), expected)
    assert np.isnan(scores.auc(np.ones(3, bool), [1, 2, 3]))


def test_ranked_probability_by_hand() -> None:
    p = [[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]
    # grade 1 of (.5, .8): (.5 - 0)^2 + (.8 - 1)^2 = .29, over k - 1 = 2; certain and two grades off: 1
    np.testing.assert_allclose(scores.ranked_probability(p, [1, 0]), [0.145, 1.0])


def test_calibration_error_by_hand() -> None:
    p = [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]
    # bin of .9: right 1 of 2, gap .4, weight 1/2; bin of .6: right 2 of 2, gap .4, weight 1/2
    assert scores.calibration_error(p, [0, 1, 0, 1]) == pytest.approx(0.4)


def test_calibration_error_weighs_rows_as_if_they_were_repeated() -> None:
    rng = np.random.default_rng(0)
    p, y, times = rng.dirichlet(np.ones(4), 30), rng.integers(0, 4, 30), rng.integers(0, 3, (2, 30))
    expected = [scores.calibration_error(p.repeat(t, axis=0), y.repeat(t)) for t in times]
    np.testing.assert_allclose(scores.calibration_error(p, y, times), expected)
    smooth = [smooth_error(*scores.top_label(p.repeat(t, axis=0), y.repeat(t))) for t in times]
    np.testing.assert_allclose(smooth_error(*scores.top_label(p, y), times), smooth, atol=1e-6)


def test_scores_equal_torchmetrics() -> None:
    torchmetrics = pytest.importorskip("torchmetrics", reason="the peer is not installed")
    import torch

    rng = np.random.default_rng(1)
    p, y = rng.dirichlet(np.ones(5), 200), rng.integers(0, 5, 200)
    said, true = torch.from_numpy(p), torch.from_numpy(y)
    functional = torchmetrics.functional.classification
    ece = functional.multiclass_calibration_error(said, true, num_classes=5, n_bins=15, norm="l1")
    assert scores.calibration_error(p, y) == pytest.approx(float(ece), abs=1e-6)
    matrix = scores.confusion(y, p.argmax(1), 5)
    kappa = functional.multiclass_cohen_kappa(said, true, num_classes=5, weights="quadratic")
    assert scores.quadratic_kappa(matrix) == pytest.approx(float(kappa), abs=1e-6)
    balanced = functional.multiclass_accuracy(said, true, num_classes=5, average="macro")
    assert scores.balanced_accuracy(matrix) == pytest.approx(float(balanced), abs=1e-6)


def test_smooth_error_of_one_confidence_is_its_gap() -> None:
    # all residuals alike in sign: smoothing moves mass about and loses none
    assert smooth_error([0.5] * 4, [True] * 4) == pytest.approx(0.5, abs=1e-5)
    assert smooth_error([0.9, 0.9, 0.8], [False] * 3) == pytest.approx(2.6 / 3, abs=1e-5)
    assert np.isnan(smooth_error([0.5], [True], [0.0]))


def test_smooth_error_of_two_opposite_gaps_by_hand() -> None:
    """Rows at 1/4 with residual +a and at 3/4 with -a: E_s = a (1 - 2 P(a reflected walk from 1/4 ends above 1/2))."""
    f, right = [0.25] * 4 + [0.75] * 4, [1, 1, 1, 0, 1, 0, 0, 0]

    def crossing(s: float) -> float:
        images = np.arange(-6, 7)[:, None] * 2 + np.array([0.25, -0.25])  # the mirrors at 0 and 1, unfolded
        return float((norm.cdf((1 - images) / s) - norm.cdf((0.5 - images) / s)).sum())

    fixed = brentq(lambda s: 0.5 * (1 - 2 * crossing(s)) - s, 1e-3, 1)
    assert smooth_error(f, right) == pytest.approx(fixed, abs=1e-5)
    # the binned error, and that without bins, are 1/2 for each half
    assert fixed < 0.5


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_smooth_error_lies_between_bias_and_unbinned_error(rows: list[tuple[float, bool]]) -> None:
    f, right = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = float(smooth_error(f, right))
    _, place = np.unique(f, return_inverse=True)
    unbinned = np.abs(np.bincount(place, weights=right - f)).sum() / f.size
    assert abs((right - f).mean()) - 0.004 <= found <= unbinned + 0.004  # .003 is the finest resolution


def test_smooth_error_moves_continuously_where_a_binned_one_jumps() -> None:
    """Confidences a hair to either side of 1/2: bins see the worst miscalibration, or none."""
    for hair in (1e-3, 1e-6):
        f, right = np.array([0.5 - hair, 0.5 + hair] * 50), np.array([True, False] * 50)
        assert smooth_error(f, right) < 0.06
        assert np.abs((right - f)[::2].mean()) > 0.49  # what a bin border at 1/2 reports


def test_smooth_error_falls_with_the_number_of_calibrated_rows() -> None:
    rng = np.random.default_rng(2)
    means = []
    for count in (100, 1600):
        f = rng.random((40, count))
        means.append(np.mean([smooth_error(row, rng.random(count) < row) for row in f]))
    # the noise of n residuals, smoothed over a width s, is about (n s)^(-1/2): a fixed point of order n^(-1/3)
    assert means[1] < means[0] * 16 ** (-1 / 3) * 1.3
    assert means[0] < 0.12


def test_median_grade() -> None:
    np.testing.assert_array_equal(median_grade([[0.5, 0.2, 0.3], [0.4, 0.2, 0.4], [0, 0, 1]]), [0, 1, 2])


def test_report_card_survives_an_absent_grade_and_an_empty_test() -> None:
    p = np.tile([0.2, 0.5, 0.3], (4, 1))
    card = report_card(p, [1, 1, 1, 1], list("aabb"), rng=np.random.default_rng(0), draws=20)
    assert card["balanced_accuracy"]["value"] == 1.0
    assert card["quadratic_kappa"]["value"] is None
    assert card["auc_grade_2_or_more"] == {"value": None, "low": None, "high": None}
    assert report_card(np.zeros((0, 3)), [], [], rng=np.random.default_rng(0)) == {"rows": 0, "patients": 0}


def test_report_card_has_an_interval_for_every_score() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(5), 60), rng.integers(0, 5, 60)
    card = report_card(p, y, np.arange(60).repeat(2)[:60].tolist(), rng=rng, draws=100)
    for name in SCORES:
        assert card[name]["low"] <= card[name]["value"] + 0.1
        assert card[name]["low"] < card[name]["high"]
    assert np.sum(card["confusion"]) == 60


def test_set_card_by_hand() -> None:
    rng = np.random.default_rng(0)
    card = set_card([0, 1, 2], [1, 1, 4], [1, 2, 4], 5, list("abc"), rng=rng, draws=50)
    assert card["coverage"]["value"] == pytest.approx(2 / 3)
    assert card["mean_size"]["value"] == 2.0
    found = {grade: one["value"] for grade, one in card["coverage_per_grade"].items()}
    assert found == {"1": 1.0, "2": 0.0, "4": 1.0}
    assert card["coverage_per_grade"]["2"]["high"] == 0.0
    assert set_card([], [], [], 5, [], rng=rng) == {"rows": 0}
