"""Knees for the benchmark: the public set at 64 pixels, or phantoms where a run is to be quick."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Cohort, Image
from voxfield.context import Context
from voxfield.grading import split
from voxfield.grading.splits import Fractions
from voxfield.grading.study import Study, plan_study
from voxfield.phantoms import knee, knees

GRADES = 5
JOINT = slice(12, 52)  # rows that hold the joint
HELD_PATIENTS = 100  # who validate, and as many who calibrate


@dataclass(frozen=True)
class Knees:
    """Everything that is known; the split of each row is train or test.

    pictures  (n, rows, columns), right knees mirrored
    """

    cohort: Cohort
    pictures: NDArray[np.uint8]

    @property
    def truth(self) -> NDArray[np.int64]:
        """Grades as read, (n,)."""
        return np.array(self.cohort.column("grade"), dtype=np.int64)

    def rows(self, part: str) -> list[int]:
        """Rows of train or test."""
        return [n for n, name in enumerate(self.cohort.column("split")) if name == part]

    def image(self, row: int) -> Image:
        """A coronal plane; the size of a pixel is not known, and taken for 1 mm."""
        return Image(self.pictures[row].T[:, None, ::-1].astype(np.int16), np.eye(4))

    def divided(self, seed: int) -> Cohort:
        """The cohort with patients of the training part drawn who validate and calibrate."""
        patients = {self.cohort.patients[row] for row in self.rows("train")}
        share = min(HELD_PATIENTS / len(patients), 0.2)
        return split(self.cohort, val_fraction=share, calibration_fraction=share, ctx=Context(seed=seed)).cohort

    def study(self, seed: int, labels: int | None) -> Study:
        """The rows and labels that a training of this seed uses."""
        return plan_study(
            self.divided(seed), Fractions(), grades=GRADES, labels_per_grade=labels, ctx=Context(seed=seed)
        )


@cache
def public(file: Path) -> Knees:
    """The set of 5,778 training knees and 826 others, which test."""
    columns: dict[str, list[object]] = {name: [] for name in ("subject", "patient", "grade", "split")}
    pictures = []
    with np.load(file, allow_pickle=False) as arrays:
        for part, role in (("train", "train"), ("val", "test")):
            sides, patients = arrays[f"{part}_side"].tolist(), arrays[f"{part}_patient"].tolist()
            columns["subject"] += [f"{p}{s}" for p, s in zip(patients, sides, strict=True)]
            columns["patient"] += [str(p) for p in patients]
            columns["grade"] += arrays[f"{part}_labels"][:, 0].tolist()
            columns["split"] += [role] * len(sides)
            shown = arrays[f"{part}_images"][:, JOINT]
            pictures += [one[:, ::-1] if side == "R" else one for one, side in zip(shown, sides, strict=True)]
    return Knees(Cohort(columns), np.stack(pictures))


@cache
def phantoms(patients: int) -> Knees:
    """Small phantom knees; a third of the patients test."""
    made = knees(patients=patients, ctx=Context(seed=5)).cohort
    columns = {name: made.columns[name] for name in ("subject", "patient", "grade")}
    columns["split"] = ["test" if n % 6 < 2 else "train" for n in range(len(made))]
    shown = [
        knee(knee_seed=n, severity=severity, cells=24, spacing_mm=2.7).image.data[:, 0, ::-1].T.astype(np.uint8)
        for n, severity in enumerate(made.column("truth_severity"))
    ]
    return Knees(Cohort(columns), np.stack(shown))
