"""The stage `segmentation.summarise`: the measurements of a cohort as one table, with patient-bootstrap intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge

from voxfield.artifacts import Cohort, Metrics, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Settings of the measurement and facts of the scan, of which a mean says nothing; the first must not differ.
ABOUT = ("tolerance_mm", "annotated_share")
FEW_PATIENTS = 10


class Summary(NamedTuple):
    """What `segmentation.summarise` makes."""

    table: Table
    summary: Metrics


@stage(resources=Resources(mem_mb=1000, runtime=10), version=1)
def summarise(
    cohort: Cohort,
    evaluations: Sequence[Metrics],
    *,
    bootstrap: Annotated[int, Ge(1)] = 2000,
    ctx: Context = Context(),
) -> Summary:
    """Gather the measurements of a cohort's scans and give their means with 95 % intervals.

    cohort       one row a scan, with `subject` and, where patients have several scans, `patient`
    evaluations  what `segmentation.evaluate` wrote for the scan of each row, in the order of the rows

    table    one row a scan: subject, patient, and every measured number under its dotted name, such as dice,
             betti_error.components, generations.3.length_detected, classes.artery.hd95_mm; n/a where the rules
             for empty masks leave it undefined, or the scan has no such generation or class
    summary  `scores`: for each of these names the mean over the scans that have it as `value`, the ends `low` and
             `high` of its 95 % percentile interval, and the numbers of those `scans` and their `patients`

    A draw of the bootstrap takes patients with replacement and all scans of each, since scans of one patient are
    alike; one patient alone has no interval. With fewer than ten patients such intervals are too narrow, which is
    the finding `few-patients`.

    Settings
    bootstrap: draws of the patient bootstrap

    Raises InputError where the numbers of rows and evaluations differ, for a file that `segmentation.evaluate` did
    not write, and for measurements with different tolerances.
    """
    from voxfield.bootstrap import patient_weights

    _check(cohort, evaluations)
    patients = cohort.patients
    rows = [_numbers(e.values) for e in evaluations]
    names = sorted({name for row in rows for name in row})
    table = Table.from_rows(
        [
            {"subject": subject, "patient": patient, **row}
            for subject, patient, row in zip(cohort.column("subject"), patients, rows, strict=True)
        ],
        ["subject", "patient", *names],
    )
    count = len(set(patients))
    if count < FEW_PATIENTS:
        text = f"intervals rest on {count} patients; with fewer than {FEW_PATIENTS} they are too narrow"
        ctx.finding("few-patients", "warning", text, value=count)
    weights = patient_weights(patients, bootstrap, ctx.rng())
    scores = {name: _score(table.column(name), patients, weights) for name in names}
    known = {"scans": len(rows), "patients": count, "bootstrap_draws": bootstrap}
    return Summary(table, Metrics({**known, "tolerance_mm": evaluations[0].values["tolerance_mm"], "scores": scores}))


def _check(cohort: Cohort, evaluations: Sequence[Metrics]) -> None:
    """Refuse evaluations that are not those of the cohort's rows."""
    if len(cohort) != len(evaluations):
        raise InputError(
            f"the cohort has {len(cohort)} rows, but {len(evaluations)} evaluations are given; expected one for each "
            "row, in the order of the rows",
            file=cohort.file,
        )
    if not evaluations:
        raise InputError("the cohort has no row; expected at least one scan", file=cohort.file)
    for evaluation in evaluations:
        if not {"dice", "tolerance_mm"} <= evaluation.values.keys():
            raise InputError("holds no dice and tolerance_mm; expected what segmentation.evaluate writes",
                             file=evaluation.file)  # fmt: skip
    tolerances = sorted({evaluation.values["tolerance_mm"] for evaluation in evaluations})
    if len(tolerances) > 1:
        raise InputError(f"surfaces were compared with tolerances of {tolerances} mm; expected one for the cohort")


def _numbers(values: Mapping[str, Any], before: str = "") -> dict[str, float | None]:
    """The measured numbers of an evaluation by dotted name."""
    found: dict[str, float | None] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{name}.")
        elif name not in ABOUT and (value is None or isinstance(value, int | float)):
            found[name] = value
    return found


def _score(column: Sequence[float | None], patients: Sequence[str], weights: "NDArray[np.float64]") -> dict[str, Any]:
    """Mean of a column over the scans that have it, with its interval; weights (draws, scans)."""
    import numpy as np

    from voxfield.bootstrap import interval

    values = np.array([np.nan if value is None else value for value in column], np.float64)
    known = np.isfinite(values)
    owners = {patient for patient, there in zip(patients, known, strict=True) if there}
    score: dict[str, Any] = {
        "value": None,
        "low": None,
        "high": None,
        "scans": int(known.sum()),
        "patients": len(owners),
    }
    if not owners:
        return score
    score["value"] = float(values[known].mean())
    if len(owners) > 1:
        total = weights[:, known].sum(axis=1)
        means = np.full(len(weights), np.nan)
        np.divide(weights[:, known] @ values[known], total, out=means, where=total > 0)
        low, high = interval(means)
        score["low"], score["high"] = (end if math.isfinite(end) else None for end in (low, high))
    return score
