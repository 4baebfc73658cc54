"""The stage `grading.train`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from voxfield import processes
from voxfield.artifacts import Cohort, Image, Metrics, Model, Table
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.grading.study import Study


class Training(NamedTuple):
    model: Model
    metrics: Metrics


@stage(resources=Resources(gpu=1, mem_mb=4000, runtime=60, threads=1), version=2, distributed=True)
def train(
    cohort: Cohort,
    images: Sequence[Image],
    features: Sequence[Table] | None = None,
    from_: Model | None = None,
    *,
    algorithm: str = "fixmatch_ordinal",
    options: tuple[str, ...] = (),
    loss: str = "ordinal",
    loss_options: tuple[str, ...] = (),
    inputs: Literal["auto", "image", "features", "both"] = "auto",
    cells: Annotated[int, Ge(4), Le(512)] = 24,
    network: str = "convolutional",
    network_options: tuple[str, ...] = (),
    channels: tuple[int, ...] = (8, 16, 32),
    hidden: Annotated[int, Ge(0), Le(1024)] = 16,
    head: str = "ordered",
    steps: Annotated[int, Ge(1)] = 400,
    batch: Annotated[int, Ge(1), Le(1024)] = 16,
    learning_rate: Annotated[float, Gt(0)] = 3e-3,
    weight_decay: Annotated[float, Ge(0)] = 1e-2,
    average: Annotated[float, Ge(0), Lt(1)] = 0.99,
    balance: Annotated[float, Ge(0), Le(1)] = 0.0,
    mirror: tuple[Literal["x", "y", "z"], ...] = (),
    strength: Annotated[float, Ge(0), Le(2)] = 1.0,
    scaling: Annotated[float, Ge(0), Lt(1)] = 0.05,
    feature_noise: Annotated[float, Ge(0)] = 1.0,
    feature_drop: Annotated[float, Ge(0), Lt(1)] = 0.1,
    grades: Annotated[int, Ge(2), Le(100)] | None = None,
    labels_per_grade: Annotated[int, Ge(1)] | None = None,
    val_fraction: Annotated[float, Ge(0), Lt(1)] = 0.15,
    calibration_fraction: Annotated[float, Ge(0), Lt(1)] = 0.25,
    test_fraction: Annotated[float, Ge(0), Lt(1)] = 0.2,
    coverage: Annotated[float, Gt(0), Lt(1)] = 0.9,
    coverage_of: Literal["marginal", "per_grade"] = "marginal",
    score: Literal["ranked", "cdf"] = "ranked",
    per_patient: Literal["random", "largest"] = "random",
    checkpoint_every: Annotated[int, Ge(1)] = 100,
    patience: Annotated[int, Ge(0)] = 0,
    bootstrap: Annotated[int, Ge(1)] = 500,
    licence: str = "unknown",
    ctx: Context = Context(),
) -> Training:
    """Learn ordinal grades from few labelled scans and the unlabelled rest, then calibrate.

    cohort    one row a scan: `patient`, `grade` (nothing where unlabelled), optionally `split` (train, val,
              calibration, test); everything is decided by patient. With a column `reader` (who gave the grade, named in
              every row that trains with one) a scan may have a row for each of several readers, all of one `subject`;
              labels and scores then count readings
    images    one a row, (x, y, z), any spacing and orientation; a plane has one voxel along its normal
    features  nothing; one table of one row for each row of the cohort; or a single table with a column `subject`
    from_     a model of the same network and channels, of `grading.pretrain` or of an earlier training, to go on from
              (`--from` in the shell). Where it learnt from scans that are held out here, the finding is
              `learnt-before`
    returns   the model, and metrics: split by patient, log, temperature, conformal facts, what the loss learnt of the
              labels (such as the chances of each reader), scores of validation and test with 95 % patient-bootstrap
              intervals

    The temperature comes from validation patients, the conformal quantile from calibration patients, one
    score each; test patients are looked at once, after everything is fixed. With fewer calibration patients than
    ceil(1 / (1 - coverage)) - 1, of a grade where coverage is per grade, none is certified (`not-certifiable`).
    Several GPUs: `voxfield grading.train --processes 4 ...`, the weights of one process up to rounding.

    Settings
    algorithm: what is learnt from a batch; `supervised`, `mixup` and `co_teaching` from labelled scans; `adamixup`,
        `pi`, `interpolation`, `semixup`, `fixmatch`, `fixmatch_ordinal` and `simmatchv2` from unlabelled ones too; or
        one of a plug-in.
    options: of the algorithm, each `name=value`, such as `window=0.9`.
    loss: what a labelled row costs; `ordinal`; `cumulative` and `conditional`, those of CORAL and CORN; `acls`, against
        overconfidence; for labels with errors `early_learning`, `probability`, and with several readers `readers`,
        which go with algorithms that mix no labelled scans; or one of a plug-in.
    loss_options: of the loss, each `name=value`, such as `ranked=0.5`.
    inputs: what the network sees; auto is the features where they are given, else the image.
    cells: of the network's grid along the longest side; the cells are isotropic, never finer than the scans.
    network: `convolutional`; `residual`, deeper; `siamese`, for planar images of a knee, from its two compartments; or
        one of a plug-in.
    network_options: of the network, each `name=value`, such as `depth=2`.
    channels: of the stages, multiples of 4; each stage halves the resolution, but not the first of `siamese`.
    hidden: width of the perceptron beside the straight line from features to the head; 0 for the line alone.
    head: `ordered` (proportional odds), `coral`, `corn` or `softmax`, or one of a plug-in; all take any loss.
    steps: optimiser steps.
    batch: labelled scans a step; unlabelled ones come on top. Several processes share them.
    learning_rate: at the peak of the schedule.
    weight_decay: of AdamW.
    average: decay of the moving average of the weights, which is the result.
    balance: of the grades in a batch, from 0, as frequent as among the labels, to 1, equally frequent. Probabilities
        lean to rare grades then, and the temperature takes back a part only.
    mirror: RAS axes along which anatomy may be mirrored without a change of its grade.
    strength: share of the strong view: of a rotation by 12 degrees, a shift by 8 %, contrast, gamma, noise and cutout.
        Less where grades hang on faint signs.
    scaling: largest relative change of size in strong views.
    feature_noise: standard deviation of noise on standardised features in strong views.
    feature_drop: probability with which a feature is hidden in strong views.
    grades: number of grades; by default one more than the highest in the cohort.
    labels_per_grade: use only so many training labels a grade, drawn by seed; the rest counts as unlabelled.
    val_fraction: share of labelled patients for the temperature, where the cohort names none.
    calibration_fraction: share of labelled patients for the conformal quantile, where the cohort names none.
    test_fraction: share of labelled patients for the test, where the cohort names none.
    coverage: stated coverage of the sets.
    coverage_of: all scans together, or of the scans of each grade; a grade with too few calibration patients is judged
        marginally then. The model keeps what either needs, and `grading.predict` may choose anew.
    score: nonconformity, the ranked probability score or the distance from the median in the distribution.
    per_patient: which score stands for a patient with several scans; `largest` covers all of them at once.
    checkpoint_every: steps between two checkpoints, and between two checks on validation patients.
    patience: checks without a better ranked probability score of the validation patients, after which training stops
        and the best check is the result; 0 trains to the end and chooses nothing.
    bootstrap: draws of the patient bootstrap.
    licence: of the training data; travels with the model.
    """
    from voxfield.grading.algorithms import ALGORITHMS
    from voxfield.grading.augment import strong
    from voxfield.grading.components import make
    from voxfield.grading.fitting import Recipe, fit
    from voxfield.grading.losses import LOSSES
    from voxfield.grading.networks import network_options as read_options
    from voxfield.grading.schedule import Method, Plan
    from voxfield.grading.splits import Fractions
    from voxfield.grading.study import plan_study

    processes.require_share(batch)
    if len(images) != len(cohort):
        raise InputError(f"{len(images)} images for {len(cohort)} rows of the cohort; expected one for each row")
    if not channels or any(c < 4 or c % 4 for c in channels):
        raise SettingsError(f"channels are {channels}; expected at least one, each a multiple of 4")
    fractions = Fractions(val_fraction, calibration_fraction, test_fraction)
    study = plan_study(cohort, fractions, grades=grades, labels_per_grade=labels_per_grade, ctx=ctx)
    own = read_options(network, network_options)
    config = {"name": network, "channels": list(channels), "hidden": hidden, "head_name": head, **own}
    view = strong(scaling, feature_noise, feature_drop, strength)
    plan = Plan(
        steps, batch, learning_rate, weight_decay, average, view, (), checkpoint_every, ctx.seed, patience, balance
    )
    recipe = Recipe(
        plan,
        config,
        inputs,
        cells,
        mirror,
        coverage,
        coverage_of,
        score,
        per_patient,
        bootstrap,
        Method(make("algorithms", ALGORITHMS, algorithm, options), make("losses", LOSSES, loss, loss_options)),
    )
    grader, figures = fit(study, images, features, from_, recipe, ctx)
    how = {"algorithm": algorithm, "options": list(options), "loss": loss, "loss_options": list(loss_options)}
    grader.notes |= {**how, "seed": ctx.seed, "steps": steps}
    facts = {**how, "grades": study.count, "rows": study.summary()}
    return Training(grader.to_model(licence), Metrics({**facts, **figures, "split": _split(study)}))


def _split(study: "Study") -> dict[str, Any]:
    return dict(sorted(zip(study.patients, study.roles, strict=True)))
