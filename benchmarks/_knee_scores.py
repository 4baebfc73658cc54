"""Scores of knee graders on the test patients, differences between methods, and sets over re-divisions of the test."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.bootstrap import interval, patient_weights
from voxfield.grading import conformal
from voxfield.grading.metrics import scores

Floats = NDArray[np.float64]
ALPHA, DRAWS, REDIVISIONS = 0.1, 1000, 100
CALIBRATING = 100  # patients of a re-division


def row_of(p: Floats, y: NDArray[np.int64]) -> dict[str, Any]:
    """Scores of distributions (n, k); the grade is the median, whose recall stands beside for each grade."""
    k = p.shape[1]
    matrix = scores.confusion(y, scores.median_grade(p), k)
    recall = np.diagonal(matrix) / np.maximum(matrix.sum(1), 1)
    return {
        "balanced accuracy": float(scores.balanced_accuracy(matrix)),
        "kappa": float(np.nan_to_num(scores.quadratic_kappa(matrix))),
        "mean error": float(scores.mean_absolute_error(matrix)),
        "AUC >= 2": float(scores.auc(y >= 2, p[:, 2:].sum(1))),
        "RPS": float(scores.ranked_probability(p, y).mean()),
        "ECE": float(scores.calibration_error(p, y)),
        **{f"recall {grade}": float(value) for grade, value in enumerate(recall)},
    }


def gain(
    ours: Sequence[Floats], other: Sequence[Floats], y: NDArray[np.int64], patients: Sequence[str]
) -> dict[str, Any]:
    """Balanced accuracy and kappa of ours minus the other's: mean over the seeds, of each seed, and the interval.

    The interval is of the mean over these seeds, by the paired bootstrap over patients: it says nothing of other seeds.
    """
    weights = patient_weights(patients, DRAWS, np.random.default_rng(0))
    found: dict[str, Any] = {}
    for name, score in (("balanced accuracy", scores.balanced_accuracy), ("kappa", scores.quadratic_kappa)):
        once = [_score(score, a, y) - _score(score, b, y) for a, b in zip(ours, other, strict=True)]
        many = [_score(score, a, y, weights) - _score(score, b, y, weights) for a, b in zip(ours, other, strict=True)]
        low, high = interval(np.mean(many, axis=0))
        found[f"{name} gained"] = float(np.mean(once))
        found |= {f"{name} low": low, f"{name} high": high, f"{name} least of a seed": float(np.min(once))}
    return found


def _score(score: Any, p: Floats, y: NDArray[np.int64], weights: Floats | None = None) -> Floats:
    return np.asarray(np.nan_to_num(score(scores.confusion(y, scores.median_grade(p), p.shape[1], weights))))


def sets_of(p: Floats, y: NDArray[np.int64], patients: Sequence[str], seed: int) -> dict[str, float]:
    """Mean coverage and size of our sets at 90 %, beside least-ambiguous and adaptive ones, over re-divisions.

    Each takes some test patients to calibrate, a random knee of each, and the rest to judge.
    """
    rng = np.random.default_rng([seed, 3])
    names = np.array(sorted(set(patients)))
    owners = np.array(patients)
    nonconformity = {"ours": conformal.grade_scores(p), "LAC": 1 - p, "APS": _adaptive(p)}
    found: dict[str, list[float]] = {}
    for _ in range(REDIVISIONS):
        chosen = rng.permutation(names)[: min(CALIBRATING, len(names) // 2)]
        inside = np.isin(owners, chosen)
        for name, values in nonconformity.items():
            own = conformal.patient_scores(values[inside, y[inside]], owners[inside].tolist(), rng)
            limit = conformal.threshold(own, ALPHA)
            if limit is None:
                raise RuntimeError(f"{len(own)} patients can not certify {1 - ALPHA:.0%}")
            member = _members(name, p[~inside], values[~inside], limit)
            judged = y[~inside]
            found.setdefault(f"{name} coverage", []).append(float(member[np.arange(len(judged)), judged].mean()))
            found.setdefault(f"{name} size", []).append(float(member.sum(1).mean()))
            found.setdefault(f"{name} with gaps", []).append(float(_gaps(member).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _members(name: str, p: Floats, values: Floats, limit: float) -> NDArray[np.bool_]:
    """Which grades are in each set, (n, k)."""
    if name != "ours":
        return values <= limit
    low, high = conformal.grade_sets(p, limit)
    grades = np.arange(p.shape[1])
    return (low[:, None] <= grades) & (grades <= high[:, None])


def _adaptive(p: Floats) -> Floats:
    """The mass of all grades at least as likely as each, itself included (Romano et al. 2020, not randomised)."""
    return np.array([[row[row >= value].sum() for value in row] for row in p])


def _gaps(member: NDArray[np.bool_]) -> NDArray[np.bool_]:
    begins = np.diff(np.pad(member, ((0, 0), (1, 0))).astype(int), axis=1) == 1
    return np.asarray(begins.sum(1) > 1)
