"""The stage `phantoms.knees`: patients with two knees each, and the grades that a reader gave."""

from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Ge, Le, Lt

from voxfield.artifacts import Cohort
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDES = ("left", "right")
PRIOR = (0.395, 0.18, 0.26, 0.13, 0.035)
"""Shares of the grades 0 to 4, as among knees of a study of osteoarthritis."""


class KneeCohort(NamedTuple):
    """What `phantoms.knees` makes."""

    cohort: Cohort


@stage(resources=Resources(mem_mb=500, runtime=5), version=1)
def knees(
    *,
    patients: Annotated[int, Ge(1), Le(100_000)] = 300,
    alike: Annotated[float, Ge(0), Lt(1)] = 0.58,
    reader_sd: Annotated[float, Ge(0)] = 0.3,
    ctx: Context = Context(),
) -> KneeCohort:
    """List the knees of patients, both of each, with their severities and grades.

    A normal score of every knee, correlated between the knees of a patient, is mapped to a severity from 0 to 5 such
    that the true grades, its whole part, have the shares of `PRIOR`. A reader sees the severity with an error.
    `phantoms.knee` renders a row by its `knee_seed`, `truth_severity` and `side`.

    Columns: subject, patient, side (left, right), grade (0 to 4, as read), knee_seed; and what is hidden from any
    honest grader: truth_severity, truth_grade.

    Settings
    patients: their number; rows are twice as many
    alike: correlation of the normal scores of a patient's knees; .58 makes that of the grades about .5
    reader_sd: standard deviation of the reader's error, grades
    """
    import numpy as np

    rng = np.random.default_rng([ctx.seed, 0x4B])
    shared, own = rng.standard_normal((patients, 1)), rng.standard_normal((patients, 2))
    severity = severities(np.sqrt(alike) * shared + np.sqrt(1 - alike) * own).ravel()
    read = np.floor(severity + reader_sd * rng.standard_normal(severity.size))
    first = 2 * int(rng.integers(2**40))
    numbers = np.arange(severity.size)
    return KneeCohort(
        Cohort(
            {
                "subject": [f"k{n // 2:05}-{SIDES[n % 2]}" for n in numbers],
                "patient": [f"k{n // 2:05}" for n in numbers],
                "side": [SIDES[n % 2] for n in numbers],
                "grade": np.clip(read, 0, len(PRIOR) - 1).astype(int).tolist(),
                "knee_seed": (first + numbers).tolist(),
                "truth_severity": severity.tolist(),
                "truth_grade": np.floor(severity).astype(int).tolist(),
            }
        )
    )


def severities(scores: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Normal scores to severities, of any shape: quantiles onto the grades, uniform within each."""
    import numpy as np
    from scipy.special import ndtr

    ends = np.concatenate([[0.0], np.cumsum(PRIOR)])
    found = np.interp(ndtr(scores), ends, np.arange(len(ends)))
    return np.asarray(np.minimum(found, np.nextafter(float(len(PRIOR)), 0.0)))
