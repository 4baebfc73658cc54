"""The figures of a set of graded predictions, as one JSON-ready report card."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxfield.bootstrap import interval, patient_weights
from voxfield.grading.metrics import scores


def report_card(
    probabilities: ArrayLike,
    truth: ArrayLike,
    patients: Sequence[Hashable],
    *,
    rng: np.random.Generator,
    draws: int = 500,
) -> dict[str, Any]:
    """Scores with 95 % patient-bootstrap intervals.

    probabilities  (n, k) calibrated
    truth          (n,) integers
    patients       (n,) the patient of each row
    returns        name -> {"value", "low", "high"}. The predicted grade is the median of the distribution:
                   it has the least expected distance to the truth; `_argmax` is of the likeliest grade
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    k = p.shape[1]
    if y.size == 0:
        return {"rows": 0, "patients": 0}
    weights = patient_weights(patients, draws, rng)
    predicted = scores.median_grade(p)
    once, many = scores.confusion(y, predicted, k), scores.confusion(y, predicted, k, weights)
    best = scores.confusion(y, p.argmax(1), k)
    card: dict[str, Any] = {"rows": int(y.size), "patients": len(set(patients)), "bootstrap_draws": draws}
    for name, score in (
        ("balanced_accuracy", scores.balanced_accuracy),
        ("quadratic_kappa", scores.quadratic_kappa),
        ("mean_absolute_error", scores.mean_absolute_error),
    ):
        card[name] = _entry(float(score(once)), score(many))
    severe, risk = y >= 2, p[:, 2:].sum(1)
    card["auc_grade_2_or_more"] = _entry(float(scores.auc(severe, risk)), scores.auc(severe, risk, weights))
    ranked = scores.ranked_probability(p, y)
    card["ranked_probability_score"] = _entry(float(ranked.mean()), weights @ ranked / weights.sum(1))
    card["calibration_error"] = scores.calibration_error(p, y)
    card["accuracy_argmax"] = json_number(float(scores.accuracy(best)))
    card["balanced_accuracy_argmax"] = json_number(float(scores.balanced_accuracy(best)))
    card["confusion"] = once.astype(int).tolist()
    return card


def set_card(low: ArrayLike, high: ArrayLike, truth: ArrayLike, grades: int) -> dict[str, Any]:
    """How often contiguous sets [low, high] hold the true grade, and how wide they are; all (n,)."""
    lo, hi, y = (np.asarray(x, dtype=np.int64) for x in (low, high, truth))
    if y.size == 0:
        return {"rows": 0}
    inside = (lo <= y) & (y <= hi)
    per_grade = {str(g): json_number(float(inside[y == g].mean())) for g in range(grades) if (y == g).any()}
    return {
        "rows": int(y.size),
        "coverage": float(inside.mean()),
        "mean_size": float((hi - lo + 1).mean()),
        "coverage_per_grade": per_grade,
    }


def json_number(value: float) -> float | None:
    """A finite number, or None where the score does not exist: JSON has no NaN."""
    return value if math.isfinite(value) else None


def _entry(value: float, draws: NDArray[np.float64]) -> dict[str, float | None]:
    low, high = interval(draws)
    return {"value": json_number(value), "low": json_number(low), "high": json_number(high)}
