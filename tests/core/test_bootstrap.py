"""The patient bootstrap against what it must not split."""

import numpy as np
import pytest

from voxfield.bootstrap import interval, patient_weights


def test_bootstrap_never_splits_a_patient() -> None:
    patients = ["a", "a", "b", "c", "c", "c"]
    weights = patient_weights(patients, 200, np.random.default_rng(0))
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    np.testing.assert_array_equal(weights[:, 0] + weights[:, 2] + weights[:, 3], 3)


def test_bootstrap_interval_is_wider_for_dependent_rows() -> None:
    """Both rows of a patient agree: the interval of 2n rows must be that of n patients."""
    rng = np.random.default_rng(1)
    right = rng.random(100) < 0.7
    widths = []
    for patients in (np.arange(200), np.repeat(np.arange(100), 2)):
        w = patient_weights(patients.tolist(), 2000, np.random.default_rng(2))
        low, high = interval(w @ np.repeat(right, 2) / w.sum(1))
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(2), rel=0.1)


def test_interval_of_a_mean_holds_the_truth_as_often_as_it_says() -> None:
    """40 patients with two dependent scans each, 300 cohorts: 95 % within the error of the count and of 40 patients."""
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(40), 2)
    held = 0
    for _ in range(300):
        values = np.repeat(rng.normal(size=40), 2) + 0.3 * rng.normal(size=80)
        weights = patient_weights(patients.tolist(), 400, rng)
        low, high = interval(weights @ values / weights.sum(1))
        held += low <= 0 <= high
    assert 0.90 <= held / 300 <= 0.98


def test_no_draw_in_which_a_score_exists() -> None:
    assert np.isnan(interval(np.full(5, np.nan))).all()
