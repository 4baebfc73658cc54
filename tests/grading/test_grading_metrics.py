"""Scores against hand-worked cases and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from voxfield.grading.metrics import scores
from voxfield.grading.metrics.card import report_card, set_card
from voxfield.grading.metrics.scores import median_grade

GRADES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40)


def test_confusion_by_hand() -> None:
    matrix = scores.confusion([0, 0, 1, 2], [0, 1, 1, 0], 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    assert scores.balanced_accuracy(matrix) == pytest.approx((0.5 + 1 + 0) / 3)
    assert scores.mean_absolute_error(matrix) == pytest.approx((0 + 1 + 0 + 2) / 4)
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


def test_median_grade() -> None:
    np.testing.assert_array_equal(median_grade([[0.5, 0.2, 0.3], [0.4, 0.2, 0.4], [0, 0, 1]]), [0, 1, 2])


def test_report_card_survives_an_absent_grade_and_an_empty_test() -> None:
    p = np.tile([0.2, 0.5, 0.3], (4, 1))
    card = report_card(p, [1, 1, 1, 1], list("aabb"), rng=np.random.default_rng(0), draws=20)
    assert card["balanced_accuracy"]["value"] == 1.0
    assert card["quadratic_kappa"]["value"] is None
    assert card["auc_grade_2_or_more"] == {"value": None, "low": None, "high": None}
    assert report_card(np.zeros((0, 3)), [], [], rng=np.random.default_rng(0)) == {"rows": 0, "patients": 0}


def test_set_card_by_hand() -> None:
    card = set_card([0, 1, 2], [1, 1, 4], [1, 2, 4], 5)
    assert card["coverage"] == pytest.approx(2 / 3)
    assert card["mean_size"] == 2.0
    assert card["coverage_per_grade"] == {"1": 1.0, "2": 0.0, "4": 1.0}
