"""Numbers of two runs, paired by patient.

A patient's difference is the mean over the scans that have the number in both runs. Intervals are percentiles over
draws of patients with replacement; p-values come from the signs of the patients' differences and are held together by
Holm's rule, since a run has many numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfield.bootstrap import interval, patient_weights
from voxfield.paired import holm, sign_flip_ps
from voxfield.runs.contents import METRICS, Contents, Key, Summary
from voxfield.runs.numbers import file_label

DRAWS = 2000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One number in two runs.

    a, b       mean over the patients who have it in both runs; over each run's own where they can not be paired
    low, high  95 % interval of the mean difference b - a; None where it can not be told
    p          of no difference, held together over all numbers that differ; None where there is no pair
    patients   who have it in both runs; 0 for one of the whole cohort, or where they can not be paired
    only_a, only_b  scans that have it in one run only
    """

    file: str
    name: str
    a: float
    b: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    patients: int = 0
    only_a: int = 0
    only_b: int = 0

    @property
    def difference(self) -> float:
        """B minus A."""
        return self.b - self.a

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def compared_numbers(a: Contents, b: Contents) -> list[Comparison]:
    """Every number that both runs have: by patient where it is a scan's, as it is where it is the cohort's."""
    if a.summary or b.summary:
        return _of_summaries(summary_of(a), summary_of(b)) + _of_cohort(a, b)
    subjects = sorted({*a.subjects} & {*b.subjects})
    before, after = _table(a, subjects), _table(b, subjects)
    patients = [a.patients[subject] for subject in subjects]
    found = _paired({key: (before[key], after[key]) for key in before if key in after}, patients)
    return found + _of_cohort(a, b)


def summary_of(contents: Contents) -> Mapping[Key, Summary]:
    """Mean over patients, standard deviation and patients of every number; what an export may tell of patients."""
    if contents.summary:
        return contents.summary
    subjects = contents.subjects
    patients = [contents.patients[subject] for subject in subjects]
    owner, count = _owners(patients)
    found = {}
    for key, values in _table(contents, subjects).items():
        means = _patient_means(values[:, None], owner, count)[:, 0]
        known = means[np.isfinite(means)]
        sd = float(known.std(ddof=1)) if len(known) > 1 else None
        found[key] = (float(known.mean()), sd, len(known))
    return found


def _table(contents: Contents, subjects: Sequence[str]) -> dict[Key, Floats]:
    """(n,) values of every number of the subjects, NaN where one has none."""
    place = {subject: row for row, subject in enumerate(subjects)}
    table: dict[Key, Floats] = {}
    for path, record in contents.records.items():
        if record.kind != METRICS or record.subject not in place:
            continue
        label, row = file_label(path, record.subject), place[record.subject]
        for name, value in contents.numbers(path).items():
            table.setdefault((label, name), np.full(len(subjects), np.nan))[row] = value
    return table


def _paired(columns: Mapping[Key, tuple[Floats, Floats]], patients: Sequence[str]) -> list[Comparison]:
    both = {key: np.isfinite(a) & np.isfinite(b) for key, (a, b) in columns.items()}
    keys = [key for key in columns if both[key].any()]
    if not keys:
        return []
    owner, count = _owners(patients)
    before, after = (
        _patient_means(np.stack([np.where(both[k], columns[k][i], np.nan) for k in keys], axis=1), owner, count)
        for i in (0, 1)
    )
    low, high, p = _intervals(after - before)
    means = np.nanmean(before, axis=0), np.nanmean(after, axis=0)
    return [
        Comparison(
            file, name, float(means[0][i]), float(means[1][i]), _known(low[i]), _known(high[i]), _known(p[i]),
            int(np.isfinite(before[:, i]).sum()), *(_alone(columns[file, name], both[file, name])),
        )
        for i, (file, name) in enumerate(keys)
    ]  # fmt: skip


def _alone(columns: tuple[Floats, Floats], both: NDArray[np.bool_]) -> tuple[int, int]:
    only = [int((np.isfinite(column) & ~both).sum()) for column in columns]
    return only[0], only[1]


def _owners(patients: Sequence[str]) -> tuple[NDArray[np.int64], int]:
    """Number of the patient of each row, and how many patients there are."""
    numbers: dict[str, int] = {}
    owner = np.array([numbers.setdefault(patient, len(numbers)) for patient in patients], dtype=np.int64)
    return owner, len(numbers)


def _patient_means(values: Floats, owner: NDArray[np.int64], count: int) -> Floats:
    """Means (count, m) over the rows of each patient of values (n, m); NaN where a patient has none."""
    known = np.isfinite(values)
    total, rows = np.zeros((count, values.shape[1])), np.zeros((count, values.shape[1]))
    np.add.at(total, owner, np.where(known, values, 0.0))
    np.add.at(rows, owner, known.astype(np.float64))
    return np.where(rows > 0, total / np.maximum(rows, 1), np.nan)


def _intervals(differences: Floats) -> tuple[Floats, Floats, Floats]:
    """95 % intervals of the mean over patients of every column (n, m), and p-values held together by Holm's rule.

    A single patient gives no interval; a number that no patient changed is no test.
    """
    rng = np.random.default_rng(0)
    known = np.isfinite(differences)
    filled = np.where(known, differences, 0.0)
    weights = patient_weights(range(len(differences)), DRAWS, rng)
    drawn = weights @ known
    draws = np.where(drawn > 0, weights @ filled / np.maximum(drawn, 1), np.nan)
    ends = np.array([interval(column) for column in draws.T])
    ends[known.sum(axis=0) < 2] = np.nan
    p, moved = np.full(differences.shape[1], np.nan), filled.any(axis=0)
    p[moved] = holm(sign_flip_ps(filled[:, moved], rng).tolist())
    return ends[:, 0], ends[:, 1], p


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _of_summaries(a: Mapping[Key, Summary], b: Mapping[Key, Summary]) -> list[Comparison]:
    """Means of numbers that are known of each run as a whole only."""
    return [Comparison(*key, a[key][0], b[key][0]) for key in a if key in b]


def _of_cohort(a: Contents, b: Contents) -> list[Comparison]:
    """Numbers of the whole cohort, such as those of a training."""
    paths = [
        path
        for path, record in a.records.items()
        if record.kind == METRICS and not record.subject and path in b.records and not b.records[path].subject
    ]
    found = []
    for path in paths:
        before, after = a.numbers(path), b.numbers(path)
        label = file_label(path, "")
        found += [Comparison(label, name, before[name], after[name]) for name in before if name in after]
    return found
