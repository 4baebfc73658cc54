"""The stage `grading.choose`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from voxfield.artifacts import Metrics, Model
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

SCORE = "ranked_probability_score"
SHOWN = (SCORE, "balanced_accuracy", "quadratic_kappa", "mean_absolute_error")

AS = {"spare": "val"}  # validation is trimmed to the number of labels, which methods may differ in


class Choice(NamedTuple):
    model: Model
    metrics: Metrics


@stage(resources=Resources(mem_mb=1000, runtime=5), version=1)
def choose(
    models: Sequence[Model],
    trainings: Sequence[Metrics],
    *,
    names: tuple[str, ...] = (),
    ctx: Context = Context(),
) -> Choice:
    """Choose among trained graders by their validation patients; the test patients are not looked at.

    models     of `grading.train`, trained on the same split
    trainings  the metrics of the same trainings, in the same order
    returns    the chosen model, and metrics: the runs with their scores, the mean of each method, what was chosen

    The method with the least mean ranked probability score over its seeds is chosen, and of its runs the one with the
    least. Scores of few validation patients are noisy: the intervals of the runs say how much.

    Settings
    names: the method of each run; runs of one name differ in their seed. Each run is a method of its own if not given

    Raises InputError for a training without validation patients, or that divides the patients otherwise than the first:
    who tests here may have trained there.
    """
    del ctx  # nothing here is random
    labels = names or tuple(str(n) for n in range(len(models)))
    if not models or not len(models) == len(trainings) == len(labels):
        raise SettingsError(
            f"grading.choose: {len(models)} models, {len(trainings)} trainings and {len(labels)} names; "
            "expected as many of each, and one at least"
        )
    _check_split(trainings)
    runs = [_run(name, training) for name, training in zip(labels, trainings, strict=True)]
    methods = [_mean(name, [run for run in runs if run["method"] == name]) for name in dict.fromkeys(labels)]
    best = min(methods, key=lambda method: method["val"])["method"]
    place = min(
        (n for n, run in enumerate(runs) if run["method"] == best), key=lambda n: float(runs[n]["val"][SCORE]["value"])
    )
    facts = {"runs": runs, "methods": methods, "chosen": best, "run": place, "chosen_by": f"{SCORE}, validation"}
    return Choice(models[place], Metrics(facts))


def _check_split(trainings: Sequence[Metrics]) -> None:
    first, *others = ({p: AS.get(role, role) for p, role in t.values.get("split", {}).items()} for t in trainings)
    for training, other in zip(trainings[1:], others, strict=True):
        apart = sorted(p for p in first.keys() | other.keys() if first.get(p) != other.get(p))
        if apart:
            there, here = (split.get(apart[0], "no part") for split in (first, other))
            raise InputError(
                f"divides {len(apart)} patients otherwise than the first training: {apart[0]} is of {there} there and "
                f"of {here} here; divide the cohort once, by grading.split, and train all methods on that",
                file=training.file,
            )


def _run(name: str, training: Metrics) -> dict[str, Any]:
    values = training.values
    if not values.get("val", {}).get("rows"):
        raise InputError("has no scores of validation patients, by which to choose", file=training.file)
    parts = {part: {score: values[part].get(score) for score in SHOWN} for part in ("val", "test")}
    return {"method": name, "labels": values["rows"]["train"]["labelled"], **parts}


def _mean(name: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    scores = [float(run["val"][SCORE]["value"]) for run in runs]
    return {"method": name, "runs": len(runs), "val": sum(scores) / len(scores)}
