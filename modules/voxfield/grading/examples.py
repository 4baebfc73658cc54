"""The labelled training scans that a scan resembles most, by the distance of their embeddings.

Distances are those of `familiarity`: Euclidean in standardised coordinates of the embedding, over the distance beyond
which a scan is called unlike the training. A model keeps embeddings, names and grades of its training scans, no image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.grading.familiarity import Bank
from voxfield.grading.study import Study

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Whose scans the points of an embedding bank are, in its order.

    subjects  names, None where nobody graded     grades  what each reader gave
    """

    subjects: tuple[str | None, ...]
    grades: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, study: Study, scans: Sequence[int]) -> "Examples":
        """Those of a study, of which `scans` are the rows in the bank; a scan may have other rows, of other readers."""
        given: dict[str, list[int]] = {}
        known = study.rows("train", labelled=True)
        for row, grade in zip(known, study.grades_of(known), strict=True):
            given.setdefault(study.subjects[row], []).append(grade)
        names = [study.subjects[row] for row in scans]
        grades = tuple(tuple(given.get(name, ())) for name in names)
        return cls(tuple(name if name in given else None for name in names), grades)


def nearest(examples: Examples, bank: Bank, embedding: Floats, count: int) -> list[dict[str, Any]]:
    """Up to `count` labelled examples of the bank, the nearest to an embedding (d,) first."""
    labelled = [i for i, grades in enumerate(examples.grades) if grades]
    point = (embedding - bank.mean) / bank.sd
    distances = np.linalg.norm(bank.points[labelled] - point, axis=1) / bank.limit
    return [
        {
            "subject": examples.subjects[labelled[i]],
            "grades": list(examples.grades[labelled[i]]),
            "distance": float(distances[i]),
        }
        for i in np.argsort(distances, kind="stable")[:count]
    ]
