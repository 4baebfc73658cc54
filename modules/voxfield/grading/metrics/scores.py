"""Scores of ordinal predictions.

Scores of the grade itself are functions of a confusion matrix `(..., k, k)`, true grade along rows, predicted
grade along columns; leading axes are free, so that a thousand bootstrap draws are one call. Entries may be
weights.

- balanced accuracy: mean recall over the grades that occur (scikit-learn's rule; torchmetrics counts absent
  grades as 0)
- quadratic weighted kappa: 1 - sum(w O) / sum(w E), w = (i - j)^2, E the outer product of the margins (Cohen
  1968)
- ranked probability score: sum_j (F_j - 1[y <= j])^2 / (k - 1), a proper score that knows the order (Epstein
  1969)
- expected calibration error: top-label, equal-width bins, weighted by size (Naeini et al. 2015); its form without bins
  is in `smooth`
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def confusion(truth: ArrayLike, predicted: ArrayLike, grades: int, weights: ArrayLike | None = None) -> Floats:
    """Confusion matrix of grades.

    truth, predicted  (n,) integers in 0..grades-1
    weights           (..., n), by default 1 a row
    returns           (..., grades, grades)
    """
    cell = np.asarray(truth, dtype=np.int64) * grades + np.asarray(predicted, dtype=np.int64)
    onehot = np.zeros((cell.size, grades * grades))
    onehot[np.arange(cell.size), cell] = 1.0
    counts = (np.ones(cell.size) if weights is None else np.asarray(weights, dtype=np.float64)) @ onehot
    return np.asarray(counts.reshape(*counts.shape[:-1], grades, grades))


def balanced_accuracy(matrix: ArrayLike) -> Floats:
    """Mean recall over the grades that occur in the truth; (...) from (..., k, k), NaN where none does."""
    counts = np.asarray(matrix, dtype=np.float64)
    total = counts.sum(-1)
    present = total > 0
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    recall = np.divide(hits, total, out=np.zeros_like(total), where=present)
    return _ratio(recall.sum(-1), present.sum(-1))


def quadratic_kappa(matrix: ArrayLike) -> Floats:
    """Quadratic weighted kappa; (...) from (..., k, k), NaN where none can be expected."""
    counts = np.asarray(matrix, dtype=np.float64)
    k = counts.shape[-1]
    weight = np.subtract.outer(np.arange(k), np.arange(k)) ** 2.0
    rows, columns = counts.sum(-1), counts.sum(-2)
    expected = np.einsum("...i,...j,ij->...", rows, columns, weight)
    observed = np.einsum("...ij,ij->...", counts, weight) * counts.sum((-1, -2))
    return 1.0 - _ratio(observed, expected)


def mean_absolute_error(matrix: ArrayLike) -> Floats:
    """Mean distance between true and predicted grade; (...) from (..., k, k)."""
    return _mean_distance(matrix, power=1)


def mean_squared_error(matrix: ArrayLike) -> Floats:
    """Mean squared distance between true and predicted grade; (...) from (..., k, k)."""
    return _mean_distance(matrix, power=2)


def accuracy(matrix: ArrayLike) -> Floats:
    """Share of rows on the diagonal; (...) from (..., k, k)."""
    counts = np.asarray(matrix, dtype=np.float64)
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum((-1, -2)))


def auc(positive: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Area under the ROC curve, ties counted half (Mann-Whitney).

    positive  (n,) bool
    score     (n,), larger means more likely positive
    weights   (..., n), by default 1 a row
    returns   (...), NaN where one class is absent
    """
    values = np.asarray(score, dtype=np.float64)
    given = np.ones(values.size) if weights is None else np.asarray(weights, dtype=np.float64)
    levels, place = np.unique(values, return_inverse=True)
    onehot = np.zeros((values.size, levels.size))
    onehot[np.arange(values.size), place] = 1.0
    yes = np.asarray(positive, dtype=bool)
    mass_yes, mass_no = (given * yes) @ onehot, (given * ~yes) @ onehot
    below = np.cumsum(mass_no, axis=-1) - 0.5 * mass_no
    wins = (mass_yes * below).sum(-1)
    return _ratio(wins, mass_yes.sum(-1) * mass_no.sum(-1))


def ranked_probability(probabilities: ArrayLike, truth: ArrayLike) -> Floats:
    """Ranked probability score of each row, in 0 (certain and right) to 1.

    probabilities  (n, k)
    truth          (n,) integers
    returns        (n,)
    """
    p = np.asarray(probabilities, dtype=np.float64)
    k = p.shape[1]
    reached = np.arange(k - 1)[None, :] >= np.asarray(truth, dtype=np.int64)[:, None]
    return np.asarray(((np.cumsum(p, axis=1)[:, :-1] - reached) ** 2).sum(1) / (k - 1))


def expected_distance(probabilities: ArrayLike, truth: ArrayLike) -> Floats:
    """Mean distance of a grade drawn from each distribution to the true one, in grades; (n,) from (n, k) and (n,)."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray((p * np.abs(np.arange(p.shape[1]) - np.asarray(truth)[:, None])).sum(1))


def calibration_error(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None, bins: int = 15
) -> Floats:
    """Expected calibration error of the most likely grade.

    probabilities  (n, k)
    truth          (n,) integers
    weights        (..., n), by default 1 a row
    returns        (...)
    """
    confidence, right = top_label(probabilities, truth)
    given = np.ones(right.size) if weights is None else np.asarray(weights, dtype=np.float64)
    onehot = np.zeros((right.size, bins))
    onehot[np.arange(right.size), np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)] = 1.0
    gap = (given * (right - confidence)) @ onehot
    return _ratio(np.abs(gap).sum(-1), given.sum(-1))


def top_label(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Probability of the most likely grade, and whether it is the true one; (n,) each."""
    p = np.asarray(probabilities, dtype=np.float64)
    return p.max(1), np.asarray(p.argmax(1) == np.asarray(truth, dtype=np.int64))


def median_grade(probabilities: ArrayLike) -> NDArray[np.int64]:
    """The smallest grade whose cumulative probability reaches one half; (n,) from (n, k)."""
    cumulative = np.cumsum(np.asarray(probabilities, dtype=np.float64), axis=1)
    return np.asarray((cumulative < 0.5 * cumulative[:, -1:]).sum(1), dtype=np.int64)


def _mean_distance(matrix: ArrayLike, power: int) -> Floats:
    counts = np.asarray(matrix, dtype=np.float64)
    k = counts.shape[-1]
    weight = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64) ** power
    return _ratio(np.einsum("...ij,ij->...", counts, weight), counts.sum((-1, -2)))


def _ratio(top: Any, bottom: Any) -> Floats:
    top, bottom = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    empty = np.full(np.broadcast(top, bottom).shape, np.nan)
    return np.asarray(np.divide(top, bottom, out=empty, where=bottom > 0))
