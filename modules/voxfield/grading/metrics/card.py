"""The figures of a set of graded predictions, as one JSON-ready report card."""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxfield.bootstrap import interval, patient_weights
from voxfield.grading.metrics import scores
from voxfield.grading.metrics.smooth import smooth_error

Floats = NDArray[np.float64]
# Scores by name: (probabilities (n, k), truth (n,), weights (..., n)) -> (...).
Score = Callable[[Floats, NDArray[np.int64], Floats], Floats]
BINARY = 2  # the grade from which a joint counts as diseased, in the AUC


def _of_median(score: Callable[[ArrayLike], Floats]) -> Score:
    return lambda p, y, w: score(scores.confusion(y, scores.median_grade(p), p.shape[1], w))


def _of_likeliest(score: Callable[[ArrayLike], Floats]) -> Score:
    return lambda p, y, w: score(scores.confusion(y, p.argmax(1), p.shape[1], w))


SCORES: dict[str, Score] = {
    "balanced_accuracy": _of_median(scores.balanced_accuracy),
    "quadratic_kappa": _of_median(scores.quadratic_kappa),
    "mean_absolute_error": _of_median(scores.mean_absolute_error),
    "mean_squared_error": _of_median(scores.mean_squared_error),
    "auc_grade_2_or_more": lambda p, y, w: scores.auc(y >= BINARY, p[:, BINARY:].sum(1), w),
    "ranked_probability_score": lambda p, y, w: w @ scores.ranked_probability(p, y) / w.sum(-1),
    "calibration_error": scores.calibration_error,
    "smooth_calibration_error": lambda p, y, w: smooth_error(*scores.top_label(p, y), w),
    "accuracy_argmax": _of_likeliest(scores.accuracy),
    "balanced_accuracy_argmax": _of_likeliest(scores.balanced_accuracy),
}


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
    returns        name -> {"value", "low", "high"}, and `confusion`, true grade along rows. The predicted grade is
                   the median of the distribution: it has the least expected distance to the truth; `_argmax` is of
                   the likeliest grade, and so are the calibration errors
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    if y.size == 0:
        return {"rows": 0, "patients": 0}
    weights, ones = patient_weights(patients, draws, rng), np.ones(y.size)
    card: dict[str, Any] = {
        "rows": int(y.size),
        "patients": len(set(patients)),
        "bootstrap_draws": draws,
        "predicted_grade": "median of the calibrated distribution; in names with argmax the likeliest",
    }
    card |= {name: entry(float(score(p, y, ones)), score(p, y, weights)) for name, score in SCORES.items()}
    card["confusion"] = scores.confusion(y, scores.median_grade(p), p.shape[1]).astype(int).tolist()
    return card


def set_card(
    low: ArrayLike,
    high: ArrayLike,
    truth: ArrayLike,
    grades: int,
    patients: Sequence[Hashable],
    *,
    rng: np.random.Generator,
    draws: int = 500,
) -> dict[str, Any]:
    """How often contiguous sets [low, high] hold the true grade, and how wide they are; arrays are (n,).

    returns  `coverage`, `mean_size` and, for the grades that occur, `coverage_per_grade`, each with its 95 %
             patient-bootstrap interval
    """
    lo, hi, y = (np.asarray(x, dtype=np.int64) for x in (low, high, truth))
    if y.size == 0:
        return {"rows": 0}
    weights = patient_weights(patients, draws, rng)
    inside, size = ((lo <= y) & (y <= hi)).astype(np.float64), (hi - lo + 1).astype(np.float64)

    def mean(values: Floats, some: NDArray[np.bool_]) -> dict[str, float | None]:
        chosen = weights * some
        total = chosen.sum(1)
        means = np.divide(chosen @ values, total, out=np.full_like(total, np.nan), where=total > 0)
        return entry(float(values[some].mean()), means)

    everyone = np.ones(y.size, dtype=bool)
    return {
        "rows": int(y.size),
        "coverage": mean(inside, everyone),
        "mean_size": mean(size, everyone),
        "coverage_per_grade": {str(g): mean(inside, y == g) for g in range(grades) if (y == g).any()},
    }


def entry(value: float, draws: Floats) -> dict[str, float | None]:
    """A figure and its interval, None where it does not exist: JSON has no NaN."""
    low, high = interval(draws)
    return {name: x if math.isfinite(x) else None for name, x in (("value", value), ("low", low), ("high", high))}
