"""Cohort: one row a scan."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import DEFAULT_LIMITS, Inspection, Limits
from voxfield.artifacts._table import Table
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    from voxfield.findings import Findings

SUBJECT = re.compile(r"[A-Za-z0-9-]+\Z")
GRADES = range(5)
ANNOTATIONS = ("dense", "sparse")


class Cohort(Table):
    """A table of scans.

    subject      id of the scan's folder: letters, digits and hyphens
    patient      whose scan it is, where patients have several; a patient stays within one split
    split        such as train, calibration, test
    annotation   "dense" or "sparse"; sparse masks need the value of `unannotated` voxels, since 0 would train
                 as background. In tables of pipelines it is the file of the label map
    unannotated  that value, 255 by convention, never 0
    grade        0 to 4; nothing where it is unknown

    Only `subject` is required; any other column is allowed.
    """

    text_columns = frozenset(
        {"subject", "patient", "session", "site", "split", "annotation", "image", "mask", "reader"}
    )

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        super().__init__(columns)
        if "subject" not in self.columns:
            raise InputError(f"a cohort has a column 'subject'; found {', '.join(self.columns) or 'no column'}")

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read `.tsv` or `.csv` and judge every row."""
        try:
            cohort = super().load(path, limits=limits, findings=findings)
        except InputError as error:
            raise error if error.file else InputError(error.message, file=path) from None
        cohort.check(cohort.findings)
        return cohort

    @property
    def patients(self) -> list[str]:
        """The patient of each row; the subject where no patient is given."""
        given = self.columns.get("patient", [None] * len(self))
        return [str(patient or subject) for patient, subject in zip(given, self.columns["subject"], strict=True)]

    def _check(self, inspection: Inspection) -> None:
        super()._check(inspection)
        for row, subject in enumerate(self.columns["subject"], start=1):
            if subject is None or not SUBJECT.match(str(subject)):
                inspection.refuse(
                    f"row {row}: subject {subject!r} can not name a folder (path); expected letters, digits and hyphens"
                )
        _check_grades(self.columns.get("grade", []), inspection)
        _check_annotation(self, inspection)
        _check_splits(self.patients, self.columns.get("split", []), inspection)
        _note_case(self.columns["subject"], inspection)


def _check_grades(grades: Sequence[Any], inspection: Inspection) -> None:
    for row, grade in enumerate(grades, start=1):
        if grade is None:
            continue
        if not isinstance(grade, int | float) or grade != int(grade):
            inspection.refuse(f"row {row}: grade {grade!r} is not an integer; expected {GRADES[0]} to {GRADES[-1]}")
        if grade not in GRADES:
            inspection.refuse(f"row {row}: grade {grade} is out of range; expected {GRADES[0]} to {GRADES[-1]}")


def _check_annotation(cohort: Cohort, inspection: Inspection) -> None:
    nothing = [None] * len(cohort)
    kinds, values = (cohort.columns.get(name, nothing) for name in ("annotation", "unannotated"))
    for row, (how, value) in enumerate(zip(kinds, values, strict=True), start=1):
        if how is not None and how not in ANNOTATIONS and not PurePath(how).suffix:
            inspection.refuse(f"row {row}: annotation {how!r}; expected one of {', '.join(ANNOTATIONS)}, or a file")
        if value is not None and (not isinstance(value, int) or value == 0):
            inspection.refuse(f"row {row}: unannotated is {value!r}; expected a label other than 0, 255 by convention")
        if how == "sparse" and value is None:
            inspection.refuse(
                f"row {row}: annotation is sparse and no value of unannotated voxels is given; add a column "
                "'unannotated' (255 by convention), since zeros would train as background"
            )


def _check_splits(patients: Sequence[str], splits: Sequence[Any], inspection: Inspection) -> None:
    seen: dict[str, str] = {}
    for patient, split in zip(patients, splits, strict=False):
        if split is not None and seen.setdefault(patient, split) != split:
            inspection.refuse(
                f"{patient!r} is in the splits {seen[patient]!r} and {split!r}: a leak; a patient stays "
                "within one split"
            )


def _note_case(subjects: Sequence[str], inspection: Inspection) -> None:
    seen: dict[str, str] = {}
    for subject in subjects:
        other = seen.setdefault(subject.lower(), subject)
        if other != subject:
            inspection.note(
                "case-clash", "warning",
                f"subjects {other!r} and {subject!r} differ only in case: duplicate folders on some disks",
            )  # fmt: skip
