"""The stage `grading.adapt`: conformal sets for another site, from its unlabelled scans."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from voxfield.artifacts import Cohort, Image, Metrics, Model, Table
from voxfield.errors import InputError, SettingsError, about
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.grading.grader import Grader

PER_DIRECTION = 10  # calibration patients, and patients at the other site, for each number that is fitted


class Adaptation(NamedTuple):
    """What `grading.adapt` makes."""

    adapted: Model
    metrics: Metrics


@stage(resources=Resources(gpu=1, mem_mb=4000, runtime=30), version=1)
def adapt(
    model: Model,
    cohort: Cohort,
    images: Sequence[Image],
    features: Sequence[Table] | None = None,
    *,
    coverage: Annotated[float, Gt(0), Lt(1)] | None = None,
    directions: Annotated[int, Ge(1), Le(50)] = 3,
    ctx: Context = Context(),
) -> Adaptation:
    """Correct the conformal sets of a grader for another site, from scans that nobody graded there.

    model     written by `grading.train`; it carries its calibration patients
    cohort    one row a scan of the other site; grades are not looked at, patients weigh alike
    images    one a row, (x, y, z), any spacing and orientation
    features  as in `grading.train`, for a model that was trained with features
    adapted   the model with a threshold that depends on the scan; `grading.predict` uses it. Grades and probabilities
              stay as they were
    metrics   what was assumed, in words; patients of either site; the shift that the directions see (chi-square
              divergence), the calibration patients that are left of it; thresholds at either site beside the old one

    Settings
    coverage: of the sets at the other site, marginal; by default that of the training.
    directions: principal coordinates of the network's embedding that the threshold may depend on.

    The correction is for a covariate shift: other patients, another mixture of severities that shows in the scans. It
    can not mend a site where the same scan would get another grade, or scans unlike any calibration scan: where fewer
    calibration patients are left than one needs, the finding `little-overlap` says so, and scans far from the training
    lose their claim in `grading.predict` as before. Raises SettingsError for fewer than 10 patients a direction.

    Source: Joshi et al. 2025 (likelihood-ratio regularized quantile regression), see `covariate_shift`.
    """
    from dataclasses import replace

    from voxfield.grading.covariate_shift import fit_shift
    from voxfield.grading.grader import Grader

    if len(images) != len(cohort):
        message = f"{len(images)} images for {len(cohort)} rows of the cohort; expected one for each row"
        raise InputError(message, file=cohort.file)
    grader = Grader.from_model(model, ctx.torch_device())
    stated = grader.coverage if coverage is None else coverage
    before = grader.conformal
    target_patients = len(set(cohort.patients))
    with about(model.file):
        _check_counts(len(before.scores), target_patients, directions, stated, before.account(stated, "marginal"))
    embedding, weight = _look(grader, cohort, images, features, ctx)
    shift = fit_shift(
        before.embedding, before.scores, embedding, weight, coverage=stated, directions=directions,
        target_patients=target_patients, rng=ctx.rng(),
    )  # fmt: skip
    grader.conformal = replace(before, shift=shift)
    grader.coverage, grader.coverage_of = stated, "marginal"
    facts = grader.conformal.account(stated, "marginal")
    left = len(before.scores) / (1 + max(shift.divergence, 0.0))
    if left < facts["needed_patients"]:
        message = (
            f"the other site resembles {left:.1f} of the {len(before.scores)} calibration patients; expected at least "
            f"{facts['needed_patients']} for a coverage of {100 * stated:g} %. Grade some of its scans instead"
        )
        ctx.finding("little-overlap", "warning", message, value=left)
    facts |= {
        "patients": target_patients,
        "scans": len(cohort),
        "strength": shift.strength,
        "divergence": shift.divergence,
        "calibration_patients_left": left,
        "threshold": _thresholds(grader, embedding, stated),
    }
    return Adaptation(grader.to_model(model.licence), Metrics(facts))


def _check_counts(source: int, target: int, directions: int, coverage: float, facts: dict[str, Any]) -> None:
    if not facts["certified"]:
        raise InputError(
            f"the model has {source} calibration patients; at least {facts['needed_patients']} are needed for a "
            f"coverage of {100 * coverage:g} %: lower it, or train with more of them"
        )
    needed = PER_DIRECTION * directions
    if min(source, target) < needed:
        raise SettingsError(
            f"directions is {directions}, which wants {needed} patients of either site; there are {source} for "
            f"calibration and {target} at the other site. Lower directions or give more scans"
        )


def _look(
    grader: "Grader", cohort: Cohort, images: Sequence[Image], features: Sequence[Table] | None, ctx: Context
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Embeddings (m, d) of the other site's scans and their weights (m,), equal in sum for every patient."""
    import numpy as np

    from voxfield.grading.scans import feature_rows, read_scans

    volumes, _ = read_scans(ctx.progress(images, total=len(images), desc="reading"), grader.grid)
    values = None
    if grader.scaler is not None:
        if features is None:
            raise InputError("the model was trained with features and none were given; give those of every row")
        names, table = feature_rows(features, [str(s) for s in cohort.column("subject")])
        absent = [name for name in grader.scaler.columns if name not in names]
        if absent:
            raise InputError(f"features have no column {', '.join(absent)}, which the model was trained with")
        values = table[:, [names.index(name) for name in grader.scaler.columns]]
    _, embedding = grader.look(grader.rows(volumes, values, [-1] * len(images)), ctx.torch_device())
    scans = Counter(cohort.patients)
    return embedding, np.array([1.0 / scans[patient] for patient in cohort.patients])


def _thresholds(grader: "Grader", embedding: "NDArray[np.float64]", coverage: float) -> dict[str, Any]:
    """The threshold before, and mean thresholds after, at either site."""
    from voxfield.grading.conformal import threshold

    shift = grader.conformal.shift
    if shift is None:
        return {}
    return {
        "before": threshold(grader.conformal.scores, 1.0 - coverage),
        "source_mean": float(shift.threshold(grader.conformal.embedding).mean()),
        "target_mean": float(shift.threshold(embedding).mean()),
    }
