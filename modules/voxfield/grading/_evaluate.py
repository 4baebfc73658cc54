"""The stage `grading.evaluate`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge

from voxfield.artifacts import Cohort, Metrics, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np

NEEDED = ("probabilities", "set", "certified", "abstained", "coverage", "coverage_of", "meaning")


class Evaluation(NamedTuple):
    """What `grading.evaluate` makes."""

    metrics: Metrics
    rows: Table
    farthest: Cohort


@stage(resources=Resources(mem_mb=1000, runtime=10), version=3)
def evaluate(
    predictions: Sequence[Metrics],
    cohort: Cohort,
    training: Metrics | None = None,
    *,
    bootstrap: Annotated[int, Ge(1)] = 1000,
    farthest_scans: Annotated[int, Ge(1)] = 6,
    ctx: Context = Context(),
) -> Evaluation:
    """Judge predictions against the cohort's grades, on test patients only.

    predictions  what `grading.predict` wrote, one for each row of the cohort, in its order
    cohort       with grades; rows without one are left out
    training     the metrics of `grading.train`, which know the test patients; without them the column `split`
                 does; without either all labelled rows count, with the finding `not-held-out`
    metrics      scores with 95 % patient-bootstrap intervals and the confusion matrix; coverage and size of the
                 certified sets, with the 5 to 95 % range that chance gives the coverage of as many test patients;
                 `abstained`, the share of scans left to a person, and under `answered` the scores of the others
    rows         one row a test scan: subject, patient, grade, probability_0.., set_low, set_high, certified, abstained;
                 what `grading.compare` takes
    farthest     subject, patient and grade of the test scans whose distributions lie farthest from the grade as read,
                 the farthest first; what `grading.explain --each` may take

    Settings
    bootstrap: draws of the patient bootstrap.
    farthest_scans: how many scans `farthest` holds.
    """
    from voxfield.grading.metrics.card import report_card

    if len(predictions) != len(cohort):
        raise InputError(
            f"{len(predictions)} predictions for {len(cohort)} rows of the cohort; expected one for each row",
            file=cohort.file,
        )
    truth, roles = cohort.column("grade"), _roles(cohort, training, ctx)
    chosen = [i for i, grade in enumerate(truth) if grade is not None and roles[i] == "test"]
    if not chosen:
        raise InputError("no labelled row of the cohort belongs to the test; nothing can be judged", file=cohort.file)
    rows = [_row(predictions[i], str(cohort.column("subject")[i]), cohort.patients[i], int(truth[i])) for i in chosen]
    values = [predictions[i].values for i in chosen]
    _check(rows, values)
    rng = ctx.rng()
    card = report_card(*_graded(rows), rng=rng, draws=bootstrap)
    card["sets"] = _sets(rows, values[0], bootstrap, rng)
    card["abstained"] = _share(rows, bootstrap, rng)
    answered = [row for row in rows if not row["abstained"]]
    card["answered"] = report_card(*_graded(answered), rng=rng, draws=bootstrap)
    return Evaluation(Metrics(card), Table.from_rows(rows), _farthest(rows, farthest_scans))


def _row(prediction: Metrics, subject: str, patient: str, grade: int) -> dict[str, Any]:
    """One scan of the table."""
    values = prediction.values
    absent = [name for name in NEEDED if name not in values]
    if absent:
        message = f"has no {', '.join(absent)}; expected what grading.predict of this version wrote"
        raise InputError(message, file=prediction.file)
    low, high = values["set"] or (None, None)
    return {
        "subject": subject,
        "patient": patient,
        "grade": grade,
        **{f"probability_{g}": p for g, p in enumerate(values["probabilities"])},
        "set_low": low,
        "set_high": high,
        "certified": int(values["certified"]),
        "abstained": int(values["abstained"]),
    }


def _check(rows: Sequence[dict[str, Any]], values: Sequence[dict[str, Any]]) -> None:
    lengths = {len(v["probabilities"]) for v in values}
    if len(lengths) > 1:
        raise InputError(f"predictions have {sorted(lengths)} grades; expected those of one model")
    highest = max(row["grade"] for row in rows)
    if highest >= min(lengths):
        raise InputError(f"the cohort has grade {highest}, the model only 0 to {min(lengths) - 1}")
    stated = {(v["coverage"], v["coverage_of"]) for v in values}
    if len(stated) > 1:
        told = " and ".join(f"{of} {coverage:g}" for coverage, of in sorted(stated))
        raise InputError(f"sets are stated at {told}; expected one coverage, or their coverage means nothing")


def _graded(rows: Sequence[dict[str, Any]]) -> "tuple[np.ndarray, list[int], list[str]]":
    """Probabilities (n, k), true grades and patients."""
    import numpy as np

    p = np.array([[x for name, x in row.items() if name.startswith("probability_")] for row in rows])
    return p, [row["grade"] for row in rows], [row["patient"] for row in rows]


def _farthest(rows: Sequence[dict[str, Any]], count: int) -> Cohort:
    from voxfield.grading.metrics.scores import expected_distance

    p, grades, _ = _graded(rows)
    ordered = [rows[i] for i in (-expected_distance(p, grades)).argsort(kind="stable")]
    scans = {row["subject"]: row for row in reversed(ordered)}  # of several readings the farthest
    chosen = [row for row in ordered if scans[row["subject"]] is row][:count]
    return Cohort.from_rows([{name: row[name] for name in ("subject", "patient", "grade")} for row in chosen])


def _sets(
    rows: Sequence[dict[str, Any]], stated: dict[str, Any], draws: int, rng: "np.random.Generator"
) -> dict[str, Any]:
    """Coverage and size of the certified sets beside what was stated."""
    from voxfield.grading.conformal import coverage_range
    from voxfield.grading.metrics.card import set_card

    some = [row for row in rows if row["certified"]]
    grades = sum(name.startswith("probability_") for name in rows[0])
    patients = [row["patient"] for row in some]
    low, high, truth = ([row[name] for row in some] for name in ("set_low", "set_high", "grade"))
    card = set_card(low, high, truth, grades, patients, rng=rng, draws=draws)
    card |= {name: stated[name] for name in ("coverage_of", "meaning")} | {"stated": stated["coverage"]}
    card["withheld"] = len(rows) - len(some)
    alpha = 1.0 - stated["coverage"]
    if some and "coverage_range_5_95" in stated:
        calibrated = stated["calibration_patients"]
        card["test_coverage_range_5_95"] = list(coverage_range(calibrated, alpha, len(set(patients))))
    for grade, one in stated.get("per_grade", {}).items():
        have = len({row["patient"] for row in some if row["grade"] == int(grade)})
        if one["certified"] and have:
            card["coverage_per_grade"][grade]["test_coverage_range_5_95"] = list(
                coverage_range(one["calibration_patients"], alpha, have)
            )
    return card


def _share(rows: Sequence[dict[str, Any]], draws: int, rng: "np.random.Generator") -> dict[str, float | None]:
    """Share of scans that the grader left to a person."""
    import numpy as np

    from voxfield.bootstrap import patient_weights
    from voxfield.grading.metrics.card import entry

    weights = patient_weights([row["patient"] for row in rows], draws, rng)
    left = np.array([row["abstained"] for row in rows], dtype=np.float64)
    return entry(float(left.mean()), weights @ left / weights.sum(1))


def _roles(cohort: Cohort, training: Metrics | None, ctx: Context) -> list[str | None]:
    from voxfield.grading.splits import role_of

    if training is not None:
        split = training.values.get("split")
        if not isinstance(split, dict):
            raise InputError("holds no split by patient; expected metrics of grading.train", file=training.file)
        return [split.get(patient) for patient in cohort.patients]
    roles = [role_of(value) for value in cohort.columns.get("split", [])]
    if any(roles):
        return roles
    message = f"nobody says who the test patients are: all {len(cohort)} rows count, trained on or not"
    ctx.finding("not-held-out", "warning", message, value=len(cohort))
    return ["test"] * len(cohort)
