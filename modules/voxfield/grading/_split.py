"""The stage `grading.split`."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Lt

from voxfield.artifacts import Cohort, Image, Metrics
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage


class Division(NamedTuple):
    cohort: Cohort
    test: Cohort
    metrics: Metrics


@stage(resources=Resources(mem_mb=2000, runtime=20), version=1)
def split(
    table: Cohort,
    images: Sequence[Image] | None = None,
    *,
    val_fraction: Annotated[float, Ge(0), Lt(1)] = 0.15,
    calibration_fraction: Annotated[float, Ge(0), Lt(1)] = 0.25,
    test_fraction: Annotated[float, Ge(0), Lt(1)] = 0.2,
    excluded: tuple[str, ...] = (),
    ctx: Context = Context(),
) -> Division:
    """Decide by patient who trains, validates, calibrates and tests, once for all methods; screen the images.

    table    one row a scan: `subject` (`sub-` in front is dropped), `patient`, `grade` (nothing where unlabelled),
             optionally `split`, which is obeyed
    images   one for each row that is not excluded, in their order; read for their sizes and for repetitions
    returns  the cohort with a `split` (train, val, calibration, test) in every row; its labelled test rows alone; and
             metrics: rows, scans, patients and labels of every part, sizes of the images. Where a scan has a row for
             each of several readers, `labels_per_grade` counts readings

    An image that stands under two patients is the finding `image-of-two-patients`, an error: it may train and test. One
    that a patient has twice is `image-repeated`; images of several sizes are `several-sizes`.

    Settings
    val_fraction: share of labelled patients who validate, where the cohort names none
    calibration_fraction: share of labelled patients who calibrate, where the cohort names none
    test_fraction: share of labelled patients who test, where the cohort names none
    excluded: subjects that are left out, such as those whose image can not be read

    Raises InputError where a patient is in two splits, and where images and rows differ in number.
    """
    from voxfield.grading.screening import Screened, tell
    from voxfield.grading.splits import Fractions, assign_roles

    kept = _without(table, excluded)
    if images and len(images) != len(kept):
        raise InputError(f"{len(images)} images for {len(kept)} rows of the table; expected one for each row")
    found = Screened.of(ctx.progress(images, total=len(images), desc="looking")) if images else None
    patients, grades = kept.patients, [None if g is None else int(g) for g in kept.column("grade")]
    fractions = Fractions(val_fraction, calibration_fraction, test_fraction)
    by_patient = assign_roles(patients, grades, kept.columns.get("split"), fractions, ctx.rng())
    roles = [by_patient[patient] for patient in patients]
    divided = Cohort({**kept.columns, "patient": patients, "split": roles})
    tested = [row for row in divided.rows() if row["split"] == "test" and row["grade"] is not None]
    told = {} if found is None else tell(found, kept.columns["subject"], patients, ctx)
    facts = {"parts": _account(divided), "excluded": list(excluded), **told}
    return Division(divided, Cohort.from_rows(tested, list(divided.columns)), Metrics(facts))


def _without(table: Cohort, excluded: Sequence[str]) -> Cohort:
    rows = [{**row, "subject": str(row["subject"]).removeprefix("sub-")} for row in table.rows()]
    strangers = sorted(set(excluded) - {row["subject"] for row in rows})
    if strangers:
        raise SettingsError(f"grading.split: excluded names {strangers[0]!r}, which is no subject of the table")
    kept = [row for row in rows if row["subject"] not in set(excluded)]
    if not kept:
        raise InputError("has no row left; nobody can train or test", file=table.file)
    return Cohort.from_rows(kept)


def _account(cohort: Cohort) -> dict[str, dict[str, Any]]:
    """Rows, scans, patients and labels per grade of each part."""
    from voxfield.grading.splits import ROLES

    count = 1 + max((int(g) for g in cohort.columns["grade"] if g is not None), default=0)
    parts: dict[str, dict[str, Any]] = {}
    for role in ROLES:
        rows = [row for row in cohort.rows() if row["split"] == role]
        labels = [int(row["grade"]) for row in rows if row["grade"] is not None]
        parts[role] = {
            "rows": len(rows),
            "scans": len({row["subject"] for row in rows}),
            "patients": len({row["patient"] for row in rows}),
            "labels_per_grade": [labels.count(grade) for grade in range(count)],
        }
    return parts
