"""The rows of a cohort with everything that decides what each may be used for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxfield.artifacts import Cohort
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading.splits import ROLES, Fractions, assign_roles, limit_labels, trim_patients


@dataclass(frozen=True)
class Study:
    """One entry a row of the cohort.

    subjects, patients  their ids       grades  integer or None where unlabelled or set aside
    roles               one of splits.ROLES, or `spare` for validation rows beyond the number that trains
    count               number of grades, 0..count-1
    readers             who gave the grade, or None; empty where the cohort tells no readers apart. A scan has a row for
                        each of its readers, all of one subject
    """

    subjects: tuple[str, ...]
    patients: tuple[str, ...]
    grades: tuple[int | None, ...]
    roles: tuple[str, ...]
    count: int
    readers: tuple[str | None, ...] = ()

    def rows(self, role: str, *, labelled: bool = False) -> list[int]:
        """Rows of a role, optionally those with a grade only."""
        return [i for i, r in enumerate(self.roles) if r == role and (not labelled or self.grades[i] is not None)]

    def grades_of(self, rows: Sequence[int]) -> list[int]:
        """Grades of labelled rows."""
        return [g for i in rows if (g := self.grades[i]) is not None]

    def patients_of(self, rows: Sequence[int]) -> list[str]:
        """Patients of rows."""
        return [self.patients[i] for i in rows]

    def scans(self, rows: Sequence[int]) -> list[int]:
        """The first row of each scan among some rows, where a scan has a row for each reader; else the rows."""
        if not self.readers:
            return list(rows)
        first: dict[str, int] = {}
        for i in rows:
            first.setdefault(self.subjects[i], i)
        return list(first.values())

    @property
    def reader_names(self) -> list[str]:
        """Who gave the grades that train, sorted."""
        return sorted({name for i in self.rows("train", labelled=True) if self.readers and (name := self.readers[i])})

    def reader_numbers(self) -> list[int] | None:
        """Place of each row's reader among `reader_names`, -1 for others; None where no readers are told apart."""
        place = {name: number for number, name in enumerate(self.reader_names)}
        return [place.get(name or "", -1) for name in self.readers] if self.readers else None

    def summary(self) -> dict[str, dict[str, Any]]:
        """Rows, labelled rows, patients and labels per grade of every role."""
        return {role: self._account(role) for role in ROLES}

    def _account(self, role: str) -> dict[str, Any]:
        rows, known = self.rows(role), self.rows(role, labelled=True)
        per_grade = np.bincount(self.grades_of(known), minlength=self.count).tolist()
        return {
            "rows": len(rows),
            "labelled": len(known),
            "patients": len(set(self.patients_of(rows))),
            "labels_per_grade": per_grade,
        }


def plan_study(
    cohort: Cohort, fractions: Fractions, *, grades: int | None, labels_per_grade: int | None, ctx: Context
) -> Study:
    """Read grades and patients of a cohort and decide every row's role; what is odd becomes a finding."""
    rng = np.random.default_rng([ctx.seed, 1])
    subjects = tuple(str(s) for s in cohort.column("subject"))
    patients = tuple(cohort.patients)
    known = [None if g is None else int(g) for g in cohort.column("grade")]
    highest = max((g for g in known if g is not None), default=-1)
    count = highest + 1 if grades is None else grades
    if count < 2 or highest >= count:
        raise InputError(f"grades reach {highest} and {count} grades are expected; at least 0 and 1 must occur")
    by_patient = assign_roles(patients, known, cohort.columns.get("split"), fractions, rng)
    roles = [by_patient[p] for p in patients]
    if labels_per_grade is not None:
        train = [i for i, role in enumerate(roles) if role == "train"]
        kept = set(limit_labels(known, train, labels_per_grade, rng))
        known = [None if roles[i] == "train" and i not in kept else g for i, g in enumerate(known)]
    roles = _trim_validation(patients, known, roles, rng, ctx)
    study = Study(subjects, patients, tuple(known), tuple(roles), count, _readers(cohort, known, roles))
    _judge(study, ctx)
    return study


def _readers(cohort: Cohort, grades: Sequence[int | None], roles: Sequence[str]) -> tuple[str | None, ...]:
    given = cohort.columns.get("reader")
    if given is None:
        return ()
    for number, (reader, grade, role) in enumerate(zip(given, grades, roles, strict=True), start=1):
        if role == "train" and grade is not None and not reader:
            raise InputError(
                f"row {number} trains with the grade {grade} and names no reader; expected one in every row with a "
                "grade, or no column `reader`",
                file=cohort.file,
            )
    return tuple(None if reader is None else str(reader) for reader in given)


def _trim_validation(
    patients: Sequence[str],
    grades: Sequence[int | None],
    roles: list[str],
    rng: np.random.Generator,
    ctx: Context,
) -> list[str]:
    def labelled(role: str) -> list[str]:
        return list(
            dict.fromkeys(p for p, g, r in zip(patients, grades, roles, strict=True) if r == role and g is not None)
        )

    train, val = labelled("train"), labelled("val")
    if len(val) <= len(train):
        return roles
    kept = trim_patients(val, len(train), rng)
    message = f"validation has {len(val)} labelled patients, training {len(train)}: {len(kept)} of them are used"
    ctx.finding("validation-trimmed", "info", message, value=len(kept))
    return ["spare" if r == "val" and p not in kept else r for p, r in zip(patients, roles, strict=True)]


def _judge(study: Study, ctx: Context) -> None:
    train = study.rows("train", labelled=True)
    present = sorted(set(study.grades_of(train)))
    if len(present) < 2:
        raise SettingsError(
            f"labelled training rows hold the grades {present}; at least two grades are needed to learn from "
            f"({len(train)} labelled rows train; lower the fractions or label more)"
        )
    absent = sorted(set(range(study.count)) - set(present))
    if absent:
        ctx.finding("grades-absent", "warning", f"no training label of grade {absent}", value=absent)
    if not study.rows("val", labelled=True):
        ctx.finding("no-validation", "warning", "no labelled validation patient: temperature stays 1", value=0)
