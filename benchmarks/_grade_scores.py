"""Scores of graders on the test patients, differences between methods, and sets over re-divisions of the test."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _sets import adaptive_scores, members, with_gaps
from voxfield.artifacts import Table
from voxfield.context import Context
from voxfield.grading import compare, conformal
from voxfield.grading.metrics import scores

Floats = NDArray[np.float64]
ALPHA, REDIVISIONS = 0.1, 100
CALIBRATING = 100  # patients of a re-division


def figures(p: Floats, y: NDArray[np.int64]) -> dict[str, float]:
    """Scores of distributions (n, k); the grade is the median."""
    matrix = scores.confusion(y, scores.median_grade(p), p.shape[1])
    return {
        "balanced accuracy": float(scores.balanced_accuracy(matrix)),
        "kappa": float(np.nan_to_num(scores.quadratic_kappa(matrix))),
        "mean error": float(scores.mean_absolute_error(matrix)),
        "AUC >= 2": float(scores.auc(y >= 2, p[:, 2:].sum(1))),
        "RPS": float(scores.ranked_probability(p, y).mean()),
        "ECE": float(scores.calibration_error(p, y)),
    }


def row_of(p: Floats, y: NDArray[np.int64]) -> dict[str, float]:
    """The same, and the recall of every grade."""
    matrix = scores.confusion(y, scores.median_grade(p), p.shape[1])
    recall = np.diagonal(matrix) / np.maximum(matrix.sum(1), 1)
    return figures(p, y) | {f"recall {grade}": float(value) for grade, value in enumerate(recall)}


def predictions(p: Floats, y: NDArray[np.int64], patients: Sequence[str]) -> Table:
    """Distributions as `grading.evaluate` writes them, for `grading.compare`."""
    columns: dict[str, Sequence[Any]] = {"subject": [f"s{n}" for n in range(len(y))], "patient": list(patients)}
    shares = {f"probability_{grade}": p[:, grade].tolist() for grade in range(p.shape[1])}
    return Table({**columns, "grade": y.tolist(), **shares})


def gains(seeds: Mapping[str, Sequence[Table]], reference: str, draws: int) -> list[dict[str, Any]]:
    """Balanced accuracy and kappa of every method less those of the reference, means over the seeds.

    Intervals and p-values are paired by patient, the latter held together by Holm's rule; the least of a seed says
    whether all seeds agree.
    """
    rows: dict[str, dict[str, Any]] = {name: {"method": name} for name in seeds if name != reference}
    names = [name for name, tables in seeds.items() for _ in tables]
    tables = [table for tables in seeds.values() for table in tables]
    for score, words in (("balanced_accuracy", "balanced accuracy"), ("quadratic_kappa", "kappa")):
        settings: dict[str, Any] = {"methods": tuple(names), "reference": reference, "score": score}
        found = compare(tables, **settings, bootstrap=draws, ctx=Context()).metrics.values["differences"]
        for name, row in rows.items():
            told = found[f"{name} - {reference}"]
            row[f"{words} gained"] = told["value"]
            row |= {f"{words} {key}": told[key] for key in ("low", "high", "p")}
            row[f"{words} least of a seed"] = min(told["differences_per_seed"])
    return list(rows.values())


def labels_that_equal(
    seeds: Mapping[int, Sequence[Table]], full: Sequence[Table], labels: int, draws: int
) -> dict[str, Any]:
    """The number of labels at which a method reaches full supervision with `labels`, by either score."""
    counts = [count for count, tables in seeds.items() for _ in tables] + [labels] * len(full)
    names = ["ours"] * (len(counts) - len(full)) + ["full"] * len(full)
    tables = [table for some in seeds.values() for table in some] + list(full)
    row: dict[str, Any] = {"labels of full supervision": labels}
    for score, words in (("balanced_accuracy", "balanced accuracy"), ("quadratic_kappa", "kappa")):
        settings: dict[str, Any] = {"methods": tuple(names), "labels": tuple(counts), "score": score}
        made = compare(tables, **settings, reference=f"full@{labels}", bootstrap=draws, ctx=Context())
        values = made.metrics.values
        told = values["equals_reference"].get("ours", {})
        row |= {f"equal by {words}": told.get("value"), f"{words} low": told.get("low")}
        row[f"{words} high"] = told.get("high")
    return row


def sets_of(p: Floats, y: NDArray[np.int64], patients: Sequence[str], seed: int) -> dict[str, float]:
    """Mean coverage and size of our sets at 90 %, beside least-ambiguous and adaptive ones, over re-divisions.

    Adaptive ones are not randomised. Each division takes some test patients to calibrate, a random knee of each, and
    the rest to judge.
    """
    rng = np.random.default_rng([seed, 3])
    names = np.array(sorted(set(patients)))
    owners = np.array(patients)
    nonconformity = {"ours": conformal.grade_scores(p), "LAC": 1 - p, "APS": adaptive_scores(p, 0.0)}
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
            found.setdefault(f"{name} with gaps", []).append(float(with_gaps(member).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _members(name: str, p: Floats, values: Floats, limit: float) -> NDArray[np.bool_]:
    """Which grades are in each set, (n, k)."""
    if name != "ours":
        return values <= limit
    return members(*conformal.grade_sets(p, limit), p.shape[1])
