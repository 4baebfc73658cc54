"""The stage `segmentation.compare`: which way of training is better here, judged inside the training set."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Cohort, Image, LabelMap, Metrics, Table
from voxfield.errors import SettingsError
from voxfield.stage import Context, Resources, stage

Score = Literal["dice", "cl_dice", "precision", "recall", "tree_length_detected", "branches_detected", "nsd"]


class Comparison(NamedTuple):
    """What `segmentation.compare` makes."""

    scores: Table
    metrics: Metrics


@stage(resources=Resources(gpu=1, mem_mb=8000, runtime=1440, threads=2), version=1)
def compare(
    cohort: Cohort,
    images: Sequence[Image],
    masks: Sequence[LabelMap],
    lungs: Sequence[LabelMap] = (),
    *,
    methods: dict[str, dict[str, Any]] = {},  # noqa: B006 - settings are validated into a fresh copy
    folds: Annotated[int, Ge(2), Le(20)] = 3,
    score: Score = "dice",
    level: Annotated[float, Gt(0), Le(0.5)] = 0.05,
    bootstrap: Annotated[int, Ge(100)] = 2000,
    ctx: Context = Context(),
) -> Comparison:
    """Compare trainings by folds that keep patients together, and say whether any two differ.

    cohort   one row a scan; rows of the split "train" are compared on, others are not looked at
    images   (x, y, z) of row i, any intensity unit
    masks    (x, y, z) labels of row i on the same grid
    lungs    (x, y, z) lung masks of row i, for methods that want them
    scores   one row a scan and method: subject, patient, fold, method and what `segmentation.evaluate` measures
    metrics  per method the mean of `score` over patients with its 95 % patient-bootstrap interval; per pair of
             methods the mean difference over patients, its interval and its p-value (sign flips, held together by
             Holm's rule); `differ`, the pairs that do; `verdict`, in words

    Settings
    methods: name -> settings of `segmentation.train`; two or more
    folds: parts into which patients are dealt; each is held out once
    score: what is compared
    level: of significance
    bootstrap: draws of the patient bootstrap

    Every method is trained on the same folds with the same seed. Few patients can not tell methods apart however
    different they are: fewer than 6 give no p-value below .05, which is the finding `few-patients`. A comparison that
    was killed goes on where it was. Raises SettingsError for a method whose settings do not fit, before any training.
    """
    from voxfield.segmentation import _comparison
    from voxfield.segmentation._train import train

    if len(methods) < 2:
        raise SettingsError(f"methods names {len(methods)} way(s) of training; expected two or more to compare")
    for name, settings in methods.items():
        try:
            train.settings.validate(settings)
        except SettingsError as error:
            raise SettingsError(f"method {name!r}: {error.message}") from None
    cases = _comparison.cases(cohort, images, masks, lungs)
    held_out = _comparison.deal([case.patient for case in cases], folds, ctx.rng())
    rows = []
    jobs = [(name, fold) for fold in range(folds) for name in methods]
    for name, fold in ctx.progress(jobs, desc="compare"):
        rows += _comparison.judge(name, methods[name], fold, cases, held_out, ctx)
    table = Table.from_rows(sorted(rows, key=lambda row: (row["method"], row["fold"], row["subject"])))
    found = _comparison.conclude(rows, list(methods), score, level, bootstrap, ctx.rng())
    if found["patients"] < _comparison.FEWEST:
        message = f"with {found['patients']} patients no difference can be shown; expected {_comparison.FEWEST} or more"
        ctx.finding("few-patients", "warning", message, value=found["patients"])
    return Comparison(table, Metrics({**found, "folds": folds, "score": score}))
