"""The stage `grading.evaluate`."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from annotated_types import Ge

from voxfield.artifacts import Cohort, Metrics
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage


class Evaluation(NamedTuple):
    metrics: Metrics


@stage(resources=Resources(mem_mb=1000, runtime=10), version=1)
def evaluate(
    predictions: Sequence[Metrics],
    cohort: Cohort,
    training: Metrics | None = None,
    *,
    bootstrap: Annotated[int, Ge(1)] = 1000,
    ctx: Context = Context(),
) -> Evaluation:
    """Judge predictions against the cohort's grades, on test patients only.

    predictions  what `grading.predict` wrote, one for each row of the cohort, in its order
    cohort       with grades; rows without one are left out
    training     the metrics of `grading.train`, which know the test patients; without them the column `split`
                 does; without either all labelled rows count, with the finding `not-held-out`
    returns      scores with 95 % patient-bootstrap intervals, coverage and size of the certified sets

    Settings
    bootstrap: draws of the patient bootstrap.
    """
    import numpy as np

    from voxfield.grading.metrics.card import report_card, set_card

    if len(predictions) != len(cohort):
        raise InputError(
            f"{len(predictions)} predictions for {len(cohort)} rows of the cohort; expected one for each row"
        )
    truth, patients = cohort.column("grade"), cohort.patients
    roles = _roles(cohort, training, ctx)
    rows = [i for i, grade in enumerate(truth) if grade is not None and roles[i] == "test"]
    if not rows:
        raise InputError("no labelled row of the cohort belongs to the test; nothing can be judged")
    values = [predictions[i].values for i in rows]
    lengths = {len(v["probabilities"]) for v in values}
    if len(lengths) > 1:
        raise InputError(f"predictions have {sorted(lengths)} grades; expected those of one model")
    grades = [int(truth[i]) for i in rows]
    if max(grades) >= min(lengths):
        raise InputError(f"the cohort has grade {max(grades)}, the model only 0 to {min(lengths) - 1}")
    owners = [patients[i] for i in rows]
    probabilities = [v["probabilities"] for v in values]
    card = report_card(probabilities, grades, owners, rng=ctx.rng(), draws=bootstrap)
    certified = [i for i, v in enumerate(values) if v["certified"]]
    ends = np.array([values[i]["set"] for i in certified], dtype=np.int64).reshape(-1, 2)
    some, whose = [grades[i] for i in certified], [owners[i] for i in certified]
    rng = ctx.rng()
    card["sets"] = set_card(ends[:, 0], ends[:, 1], some, min(lengths), whose, rng=rng, draws=bootstrap)
    card["sets"]["meaning"] = "marginal coverage under exchangeable patients"
    card["sets"]["withheld"] = len(values) - len(certified)
    return Evaluation(Metrics(card))


def _roles(cohort: Cohort, training: Metrics | None, ctx: Context) -> list[str | None]:
    from voxfield.grading.splits import ALIASES

    if training is not None:
        split = training.values.get("split")
        if not isinstance(split, dict):
            raise InputError("holds no split by patient; expected metrics of grading.train", file=training.file)
        return [split.get(patient) for patient in cohort.patients]
    if any(cohort.columns.get("split", [])):
        return [ALIASES.get(str(role), role) for role in cohort.columns["split"]]
    message = f"nobody says who the test patients are: all {len(cohort)} rows count, trained on or not"
    ctx.finding("not-held-out", "warning", message, value=len(cohort))
    return ["test"] * len(cohort)
