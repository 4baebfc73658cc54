"""Graded cases as the page of a grader needs them: distributions beside what readers said, and which cases to show."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Cohort, Image, Metrics, Picture
from voxfield.errors import InputError
from voxfield.grading.metrics.scores import expected_distance
from voxfield.report._raster import Bytes, grey, png, window
from voxfield.report._view import VIEWS, body_axes

Floats = NDArray[np.float64]
QUANTILES = (0.1, 0.5, 0.9)  # of the distances of a grade's cases: those that are shown of it
MOST_WORST = 6


@dataclass(frozen=True)
class Graded:
    """One entry a case.

    subjects, patients  ids               probabilities  (n, k)
    truth               (n,) as read      grade          (n,) as predicted
    sets                (n, 2) lowest and highest, -1 where none is given
    """

    subjects: Sequence[str]
    patients: Sequence[str]
    probabilities: Floats
    truth: NDArray[np.int64]
    grade: NDArray[np.int64]
    sets: NDArray[np.int64]

    @classmethod
    def of(cls, cohort: Cohort, predictions: Sequence[Metrics]) -> Self:
        """From the rows of a cohort and a prediction for each. Raises InputError for what does not fit together."""
        truth = cohort.column("grade")
        if len(predictions) != len(cohort):
            raise InputError(
                f"{len(predictions)} predictions for {len(cohort)} rows of the cohort; expected one for each"
            )
        if None in truth:
            raise InputError(f"row {truth.index(None) + 1} has no grade to judge the prediction by", file=cohort.file)
        for one in predictions:
            if "probabilities" not in one.values:
                raise InputError("holds no probabilities; expected a file of grading.predict", file=one.file)
        probabilities = [one.values["probabilities"] for one in predictions]
        if len({len(p) for p in probabilities}) > 1 or max(truth) >= len(probabilities[0]):
            count = sorted({len(p) for p in probabilities})
            raise InputError(
                f"predictions have {count} grades, the cohort's reach {max(truth)}; expected those of one model"
            )
        return cls(
            [str(s) for s in cohort.column("subject")],
            cohort.patients,
            np.array(probabilities, dtype=np.float64),
            np.array(truth, dtype=np.int64),
            np.array([one.values["grade"] for one in predictions], dtype=np.int64),
            np.array([one.values.get("set") or (-1, -1) for one in predictions], dtype=np.int64),
        )

    @property
    def count(self) -> int:
        """Number of grades."""
        return int(self.probabilities.shape[1])

    @cached_property
    def distance(self) -> Floats:
        """Expected distance of the distribution to the reader's grade, in grades, (n,)."""
        return expected_distance(self.probabilities, self.truth)

    def examples(self) -> dict[int, list[int]]:
        """Grade as read -> cases at the quantiles of the distance, the best first; each case once."""
        chosen = {}
        for grade in np.unique(self.truth).tolist():
            rows = np.flatnonzero(self.truth == grade)
            ordered = rows[np.argsort(self.distance[rows], kind="stable")]
            places = [round(q * (len(ordered) - 1)) for q in QUANTILES]
            chosen[int(grade)] = [int(ordered[place]) for place in dict.fromkeys(places)]
        return chosen

    def worst(self) -> list[int]:
        """The cases whose distributions lie farthest from what was read, the farthest first."""
        return [int(row) for row in np.argsort(-self.distance, kind="stable")[:MOST_WORST]]

    def shown(self, row: int) -> dict[str, Any]:
        """What the template says of a case."""
        low, high = self.sets[row].tolist()
        grade = int(self.grade[row])
        kinds = ["at" if g == grade else "in" if low <= g <= high else "out" for g in range(self.count)]
        return {
            "subject": self.subjects[row],
            "truth": int(self.truth[row]),
            "grade": grade,
            "cells": kinds,
            "set": "no set" if low < 0 else f"set {low}" if low == high else f"set {low} to {high}",
            "missed": bool(low >= 0 and not low <= self.truth[row] <= high),
            "probability": float(self.probabilities[row, self.truth[row]]),
        }


def rgb_png(picture: Picture) -> bytes:
    """The file of a picture in colour."""
    opaque = np.full((*picture.pixels.shape[:2], 1), 255, np.uint8)
    return png(np.concatenate([picture.pixels, opaque], axis=2))


def picture(image: Image) -> Bytes:
    """A plane as it is looked at; of a volume its middle axial slice, which shows no face. Grey, (rows, columns)."""
    _, order = body_axes(image.grid)
    axes = image.grid.axes
    body = np.transpose(np.asarray(image.data), order)
    body = np.flip(body, tuple(b for b, voxel in enumerate(order) if axes[b, voxel] < 0))
    axis = next((axis for axis in (1, 2, 0) if body.shape[axis] == 1), 2)
    view = next(view for view in VIEWS if view.axis == axis)
    flat = np.moveaxis(body, (view.upward[0], view.across[0], axis), (0, 1, 2))[:, :, body.shape[axis] // 2]
    flat = flat[:: -view.upward[1], :: view.across[1]]
    return grey(np.asarray(flat, dtype=np.float64), *window(flat))
