"""Tables of a grader's page: scores, confusion, sets, parts of the cohort, methods."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from voxfield.artifacts import Metrics
from voxfield.report._graded import Graded
from voxfield.report._numbers import DASH, fixed, percent

Entry = Mapping[str, Any]
SCORES = (
    ("balanced_accuracy", "balanced accuracy", "mean share of each grade's cases that are right"),
    ("quadratic_kappa", "quadratic weighted kappa", "agreement beyond chance, 1 is full"),
    ("mean_absolute_error", "mean absolute error", "grades"),
    ("auc_grade_2_or_more", "AUC for grade 2 or more", "share of pairs in the right order"),
    ("ranked_probability_score", "ranked probability score", "of the distribution, 0 is perfect"),
    ("calibration_error", "calibration error", "of the likeliest grade, 15 bins"),
    ("smooth_calibration_error", "calibration error without bins", "of the likeliest grade"),
    ("accuracy_argmax", "accuracy of the likeliest grade", "depends on how common grades are"),
)
EXPECTED = "test_coverage_range_5_95"
PARTS = (
    ("train", "train", "labels and images"),
    ("val", "validation", "temperature, choice of the method"),
    ("calibration", "calibration", "the threshold of the sets"),
    ("test", "test", "looked at once, at the end"),
)


def interval_text(entry: Any, places: int = 3) -> str:
    """`0.61 to 0.69`, or a dash."""
    if not isinstance(entry, Mapping) or entry.get("low") is None:
        return DASH
    return f"{fixed(entry['low'], places)} to {fixed(entry['high'], places)}"


def value_of(entry: Any) -> Any:
    """The value of a figure, with or without an interval."""
    return entry.get("value") if isinstance(entry, Mapping) else entry


def score_rows(scores: Entry) -> list[dict[str, str]]:
    """Name, value, interval and meaning of every score that is known."""
    return [
        {
            "name": words,
            "value": fixed(value_of(scores[key]), 3),
            "interval": interval_text(scores[key]),
            "means": means,
        }
        for key, words, means in SCORES
        if scores.get(key) is not None
    ]


def confusion(cases: Graded) -> list[dict[str, Any]]:
    """One row a grade as read: how many cases were given each grade, and their share of the row."""
    rows = []
    for truth in range(cases.count):
        given = [int(((cases.truth == truth) & (cases.grade == grade)).sum()) for grade in range(cases.count)]
        total = sum(given)
        cells = [
            {"cases": cases_, "share": round(100 * cases_ / max(total, 1)), "right": grade == truth}
            for grade, cases_ in enumerate(given)
        ]
        rows.append({"grade": truth, "total": total, "cells": cells})
    return rows


def set_rows(sets: Entry) -> list[dict[str, str]]:
    """Coverage of all sets and of those of each grade, and the range that chance gives it where it is certified."""
    whole = {**(sets.get("coverage") or {}), EXPECTED: sets.get(EXPECTED)}
    grades = sets.get("coverage_per_grade", {})
    return [
        {
            "name": name,
            "value": percent(value_of(entry)),
            "interval": interval_text(entry),
            "expected": " to ".join(fixed(end) for end in entry.get(EXPECTED) or ()) or DASH,
        }
        for name, entry in {"all": whole, **{f"grade {grade}": one for grade, one in grades.items()}}.items()
    ]


def size_rows(cases: Graded) -> list[dict[str, Any]]:
    """How many sets hold so many grades."""
    sizes = (cases.sets[:, 1] - cases.sets[:, 0] + 1)[cases.sets[:, 0] >= 0]
    counts = [(size, int((sizes == size).sum())) for size in range(1, cases.count + 1)]
    return [{"size": size, "sets": count, "share": percent(count / max(len(sizes), 1), 0)} for size, count in counts]


def part_rows(splits: Metrics | None, trainings: Sequence[Metrics]) -> list[dict[str, Any]]:
    """Images, patients and labels per grade of every part; in training the labels that were used."""
    if splits is None:
        return []
    used = trainings[0].values.get("rows", {}).get("train", {}).get("labels_per_grade") if trainings else None
    rows = []
    for key, name, what in PARTS:
        part = splits.values.get("parts", {}).get(key, {})
        labels = used if key == "train" and used is not None else part.get("labels_per_grade", [])
        about = {"name": name, "use": what, "labels": labels}
        rows.append({**about, "images": part.get("scans", 0), "patients": part.get("patients", 0)})
    return rows


def method_rows(trainings: Sequence[Metrics], names: Sequence[str], choice: Metrics | None) -> list[dict[str, str]]:
    """Scores of each method, means over its trainings; one row a method."""
    chosen = None if choice is None else choice.values.get("chosen")
    rows = []
    for name in dict.fromkeys(names):
        runs = [t.values for t, own in zip(trainings, names, strict=True) if own == name]
        test = {key: [value_of(run.get("test", {}).get(key)) for run in runs] for key in _COMPARED}
        rows.append({
            "name": name, "chosen": "chosen" if name == chosen else "", "runs": str(len(runs)),
            "labels": str(runs[0].get("rows", {}).get("train", {}).get("labelled", DASH)),
            "validation": _mean([value_of(run.get("val", {}).get("ranked_probability_score")) for run in runs]),
            **{key: _mean(values) for key, values in test.items()},
        })  # fmt: skip
    return rows


_COMPARED = ("balanced_accuracy", "quadratic_kappa", "mean_absolute_error")


def _mean(values: Sequence[Any]) -> str:
    known = [float(value) for value in values if value is not None]
    spread = f" ({fixed(min(known), 3)} to {fixed(max(known), 3)})" if len(known) > 1 else ""
    return f"{fixed(mean(known), 3)}{spread}" if known else DASH


def difference_rows(comparison: Metrics | None) -> list[dict[str, str]]:
    """Differences between methods with their intervals and p-values."""
    found = {} if comparison is None else comparison.values.get("differences", {})
    return [
        {
            "name": name,
            "value": fixed(value_of(facts), 3),
            "interval": interval_text(facts),
            "p": fixed(facts.get("p"), 3),
            "p_seeds": fixed(facts.get("p_seeds"), 3),
        }
        for name, facts in found.items()
    ]


def curve_points(trainings: Sequence[Metrics]) -> dict[str, list[tuple[int, float, float, float]]]:
    """Algorithm -> labels, balanced accuracy and its interval of each training, where labels differ; else nothing."""
    found: dict[str, list[tuple[int, float, float, float]]] = {}
    for training in trainings:
        labels = training.values.get("rows", {}).get("train", {}).get("labelled")
        score = training.values.get("test", {}).get("balanced_accuracy")
        if labels is not None and isinstance(score, Mapping) and None not in score.values():
            point = (int(labels), float(score["value"]), float(score["low"]), float(score["high"]))
            found.setdefault(str(training.values.get("algorithm", "trained")), []).append(point)
    return found if len({point[0] for points in found.values() for point in points}) > 1 else {}
