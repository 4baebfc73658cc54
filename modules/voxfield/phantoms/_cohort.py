"""The stage `phantoms.cohort`: hundreds of anatomies for grading, few of them graded."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Cohort
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np

GRADES = 5
FIRST_PATIENT = 2**30
"""Patients of cohorts are counted from here, so that no vessel phantom is one of them."""


class GradingCohort(NamedTuple):
    """What `phantoms.cohort` makes."""

    cohort: Cohort


@stage(resources=Resources(mem_mb=500, runtime=5), version=1)
def cohort(
    *,
    count: Annotated[int, Ge(2), Le(100_000)] = 240,
    labelled_per_grade: Annotated[int, Ge(0)] = 10,
    calibration: Annotated[float, Ge(0), Le(0.9)] = 0.25,
    test: Annotated[float, Ge(0), Le(0.9)] = 0.25,
    reader_sd: Annotated[float, Ge(0)] = 0.3,
    ctx: Context = Context(),
) -> GradingCohort:
    """List anatomies, two a patient (left and right), with the grades that a reader gave to some of them.

    The grade follows from the pressure drop of a 1D network under the patient's own flow and blood, which no
    image shows (Poiseuille and Young & Tsai losses), read with an error. `phantoms.geometry` renders a row by
    its `anatomy_seed`. Calibration and test rows are all graded; of the training rows only some of every grade,
    the others are unlabelled.

    Columns: subject, patient, session (left, right), split (train, calibration, test), grade (0 to 4, or n/a),
    anatomy_seed; and what is hidden from any honest grader: truth_grade (without reader), truth_reader_grade,
    truth_drop_pa, truth_reynolds, truth_viscosity_pa_s.

    Settings
    count: rows
    labelled_per_grade: training rows of each grade whose grade is given
    calibration: share of the patients that calibrate
    test: share of the patients that test
    reader_sd: standard deviation of the reader's error, grades
    """
    import numpy as np

    from voxfield.errors import SettingsError

    if calibration + test >= 1:
        given = f"calibration {calibration:g} and test {test:g}"
        raise SettingsError(f"phantoms.cohort: {given} leave no patient to train; their sum must be below 1")
    rng = np.random.default_rng([ctx.seed, 0xC0])
    patients = (count + 1) // 2
    first = FIRST_PATIENT + int(rng.integers(2**29))
    splits = _splits(rng, patients, calibration, test)
    rows = [_row(rng, n, first, splits[n // 2], reader_sd) for n in range(count)]
    labelled = _labelled(rng, rows, labelled_per_grade)
    for n, row in enumerate(rows):
        if row["split"] == "train" and n not in labelled:
            row["grade"] = None
    found = [sum(rows[n]["grade"] == grade for n in labelled) for grade in range(GRADES)]
    if min(found) < labelled_per_grade:
        message = f"training rows hold {found} labels of grades 0 to 4; {labelled_per_grade} of each were wanted"
        ctx.finding("few-labels", "warning", message, value=found)
    return GradingCohort(Cohort.from_rows(rows))


def _row(rng: "np.random.Generator", n: int, first: int, split: str, reader_sd: float) -> dict[str, Any]:
    from voxfield.phantoms._anatomy import sample_anatomy
    from voxfield.phantoms._network import grade_of, outlet_drops_pa, read_grade

    seed = 2 * (first + n // 2) + n % 2
    anatomy = sample_anatomy(seed)
    drop = max(outlet_drops_pa(anatomy).values())
    read = read_grade(drop, reader_sd, rng)
    side = ("left", "right")[n % 2]
    return {
        "subject": f"g{n // 2:04}-{side}",
        "patient": f"g{n // 2:04}",
        "session": side,
        "split": split,
        "grade": read,
        "anatomy_seed": seed,
        "truth_grade": grade_of(drop),
        "truth_reader_grade": read,
        "truth_drop_pa": drop,
        "truth_reynolds": anatomy.reynolds,
        "truth_viscosity_pa_s": anatomy.viscosity_pa_s,
    }


def _splits(rng: "np.random.Generator", patients: int, calibration: float, test: float) -> list[str]:
    """The split of every patient, in random order."""
    n_calibration, n_test = round(calibration * patients), round(test * patients)
    names = ["calibration"] * n_calibration + ["test"] * n_test
    names += ["train"] * (patients - len(names))
    return [names[place] for place in rng.permutation(patients)]


def _labelled(rng: "np.random.Generator", rows: list[dict[str, Any]], per_grade: int) -> set[int]:
    """Training rows that keep their grade: `per_grade` of each as far as there are, drawn at random."""
    chosen: set[int] = set()
    for grade in range(GRADES):
        members = [n for n, row in enumerate(rows) if row["split"] == "train" and row["grade"] == grade]
        chosen |= {members[place] for place in rng.permutation(len(members))[:per_grade]}
    return chosen
