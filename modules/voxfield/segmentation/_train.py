"""The stage `segmentation.train`: a 3D U-Net from densely or sparsely annotated scans.

Sparse annotation follows Cicek et al., "3D U-Net", MICCAI 2016 (arXiv 1606.06650): voxels that nobody
looked at have weight 0, and elastic deformation makes few annotated slices go far. Different from it: Dice
is added to the cross entropy (its sums are weighted too), and patches are drawn around annotated foreground.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield import processes
from voxfield.artifacts import Cohort, Image, LabelMap, Metrics, Model
from voxfield.errors import SettingsError
from voxfield.segmentation._settings import Channels, Extra, Margin, Patch, Spacing, input_channels, require_patch
from voxfield.stage import Context, Resources, stage

Share = Annotated[float, Ge(0), Le(1)]


class Training(NamedTuple):
    """What `segmentation.train` makes."""

    model: Model
    metrics: Metrics


@stage(resources=Resources(gpu=1, mem_mb=8000, runtime=240, threads=2), version=4, distributed=True)
def train(
    cohort: Cohort,
    images: Sequence[Image],
    masks: Sequence[LabelMap],
    lungs: Sequence[LabelMap] = (),
    from_: Model | None = None,
    *,
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 1000,
    batch: Annotated[int, Ge(1), Le(256)] = 2,
    patch: Patch = (32, 32, 32),
    architecture: str = "unet",
    channels: Channels = (8, 16, 32, 64),
    arguments: dict[str, int | str] = {},  # noqa: B006 - settings are validated into a fresh copy
    extras: tuple[Extra, ...] = (),
    lung_margin_mm: Margin | None = None,
    regularizers: dict[str, float | dict[str, float | int | str]] = {},  # noqa: B006
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.005,
    spacing_mm: Spacing | None = None,
    normalisation: Literal["volume", "cohort"] = "volume",
    foreground_share: Share = 0.67,
    elastic_share: Share = 0.5,
    elastic_sd_voxels: Annotated[float, Ge(0), Le(20)] = 2.0,
    elastic_spacing_voxels: Annotated[float, Ge(2), Le(256)] = 16.0,
    flip: bool = True,
    vary_intensity: bool = True,
    confident: Annotated[float, Ge(0), Le(10)] = 0.1,
    correct_labels: bool = False,
    validations: Annotated[int, Ge(1), Le(100)] = 4,
    checkpoint_every: Annotated[int, Ge(1)] = 100,
    cache_mb: Annotated[int, Ge(0)] = 4000,
    licence: str = "unknown",
    ctx: Context = Context(),
) -> Training:
    """Train a network to segment scans like those of a cohort.

    cohort   one row a scan. Columns that matter: `split` (rows "train" are trained on, rows "val" measured
             on, others left alone; without the column all are trained on), `patient`, `reader` (who annotated: a
             scan may have a row for each of several readers, whose errors are then learnt with it), `annotation`
             ("dense" or "sparse") and `unannotated` (the value of voxels that nobody looked at, 255 by
             convention)
    images   (x, y, z) of row i, any intensity unit
    masks    (x, y, z) labels of row i on the same grid; 0 is background
    lungs    (x, y, z) lung masks of row i, of `segmentation.lung`; for the extra channel "lung_distance"
    from_    a model of the same architecture, of `segmentation.pretrain` or of an earlier training, to go on
             from (`--from` in the shell): weights of the same name and shape are taken over
    model    weights and all that `segmentation.predict` needs: spacing, orientation, normalisation, labels,
             ranges seen
    metrics  losses in bins of steps, of each regularizer too; Dice of the validation scans on annotated voxels
             of the model's grid, mean over patients; what was trained on; the chances of each of several readers

    Settings
    steps: updates of the weights
    batch: patches of an update; several processes share them
    patch: voxels of a patch along R, A, S; multiples of what the network halves. Images (x, y, 1) take (n, n, 1)
        and an architecture in 2D (arguments: dims 2)
    architecture: "unet" (MONAI's, with one full-resolution level), "dynunet" (nnU-Net's, slower), or another that
        `voxfield.segmentation.networks` lists
    channels: features of each level, finest first
    arguments: further arguments of the architecture, such as units (convolutions of a residual block of "unet")
    extras: what the network sees besides the intensities: "lung_distance" (30 mm units, in chest CT),
        "coordinates" (along R, A, S, from -1 to 1)
    lung_margin_mm: look only within the hull of the lungs and so far around it, along R, A and S, mm; what scans show
        beyond has no say, here and in `segmentation.predict`; needs lungs; the whole scan by default
    regularizers: name -> weight, or name -> table of `weight` and the term's own arguments; added to Dice and cross
        entropy: boundary, cldice, connectivity, hausdorff, persistence, scope, skeleton_recall, all told in
        docs/segmentation.md
    learning_rate: highest rate of AdamW; polynomial decay to 0
    spacing_mm: of the model's grid along R, A, S, mm; the median of the training scans by default
    normalisation: "volume" by each scan's own moments (MR), "cohort" by those of all (CT)
    foreground_share: share of patches centred on annotated foreground
    elastic_share: share of patches that are deformed (cubic B-splines on a coarse grid)
    elastic_sd_voxels: standard deviation of control displacements, voxels; lowered where folds could arise
    elastic_spacing_voxels: distance of control points, voxels
    flip: mirror patches along each axis; off where left and right mean different labels
    vary_intensity: random bias field, gamma, contrast and noise
    confident: with several readers, weight of the entropy that keeps the network sure
    correct_labels: correct labels that begin to be learnt by heart (ADELE), looked at as often as `validations`, which
        should be 10 or more then
    validations: how often validation scans are measured, evenly spread, the last time at the end
    checkpoint_every: steps between checkpoints
    cache_mb: memory for prepared scans, MB; others are prepared anew when they are drawn
    licence: of the training data; written into the model

    Raises InputError for images and masks on different grids, a sparse mask without unannotated voxels,
    masks that are all empty, a patient in two splits. The weights are those of the last step: no choice is
    made on the validation scans. A training that was killed goes on from its last checkpoint and ends with
    the same bytes, with as many processes. Several GPUs: `voxfield segmentation.train --processes 4 ...`, the
    weights of one process up to rounding.
    """
    from voxfield.segmentation import _scans, _survey, _training
    from voxfield.segmentation._optimise import Schedule
    from voxfield.segmentation._patches import Recipe
    from voxfield.segmentation._plan import FAMILY
    from voxfield.segmentation._start import take_over
    from voxfield.segmentation._validation import validate
    from voxfield.segmentation.losses import objective
    from voxfield.segmentation.networks import build, multiple
    from voxfield.segmentation.noise._setup import matrices, setup

    network_arguments = {**arguments, "in_channels": input_channels(extras), "channels": list(channels)}
    require_patch(patch, multiple(architecture, network_arguments))
    aim = objective(regularizers)
    processes.require_share(batch)
    if lung_margin_mm is not None and not lungs:
        raise SettingsError(
            "lung_margin_mm is set, but no lungs are given; give one for every row, of segmentation.lung"
        )
    parts = _scans.split(cohort, images, masks, lungs, lung_margin_mm)
    scans, held_out = parts[_scans.TRAINING], parts[_scans.VALIDATION]
    facts = [_survey.survey(scan) for scan in ctx.progress(scans, desc="survey")]
    _survey.report(scans, facts, ctx)
    names = _survey.label_names(scans, facts)
    _survey.report_held_out(held_out, [_survey.survey(scan) for scan in held_out], names, ctx)
    plan = _survey.make_plan(
        facts, names, architecture=architecture, arguments=network_arguments,
        patch=patch, spacing_mm=spacing_mm, normalisation=normalisation, extras=extras,
        lung_margin_mm=lung_margin_mm,
    )  # fmt: skip
    device = ctx.torch_device()
    network = build(architecture, plan.arguments, seed=ctx.seed)
    if from_ is not None:
        take_over(network, from_, architecture, ctx)
    readers = _scans.readers(cohort)
    if processes.count() > 1 and (len(readers) > 1 or correct_labels):
        raise SettingsError(
            "several readers and corrected labels are trained by one process; start it without torchrun"
        )
    learner, source, inspections = setup(
        network, _scans.Scans(scans, plan, cache_mb, tubes=aim.needs_tube), plan,
        readers=readers, confident=confident, correct=correct_labels, checks=validations, device=device,
    )  # fmt: skip
    if held_out:
        inspections.append(partial(validate, scans=held_out, plan=plan, device=device))
    history = _training.fit(
        learner,
        source,
        Recipe(
            patch,
            foreground_share,
            elastic_share,
            elastic_sd_voxels,
            elastic_spacing_voxels,
            flip,
            vary_intensity,
        ),
        batch,
        Schedule(
            steps,
            learning_rate,
            checkpoint_every,
            tuple(-(-steps * k // validations) for k in range(1, validations + 1)),
        ),
        aim,
        spacing_mm=plan.spacing_mm,
        seed=ctx.seed,
        device=device,
        workspace=ctx.workspace,
        inspections=inspections,
        progress=partial(ctx.progress, desc="train"),
    )
    account = {**_survey.account(scans, facts), "steps": steps, "seed": ctx.seed, **matrices(learner, readers)}
    model = Model(
        network.state_dict(), {**plan.as_config(), "training": account},
        family=FAMILY, architecture=architecture, licence=licence,
    )  # fmt: skip
    curves = history.curves()
    seen = {"loss": curves["loss"][-1], "loss_curve": curves, "validation": history.validations}
    return Training(model, Metrics({**account, "spacing_mm": list(plan.spacing_mm), **seen}))
