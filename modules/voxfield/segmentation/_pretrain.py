"""The stage `segmentation.pretrain`: a start for `segmentation.train` from scans that nobody annotated."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Cohort, Image, Metrics, Model
from voxfield.errors import InputError, SettingsError
from voxfield.segmentation._settings import Channels, Patch, Spacing, require_patch
from voxfield.stage import Context, Resources, stage


class Pretraining(NamedTuple):
    """What `segmentation.pretrain` makes."""

    model: Model
    metrics: Metrics


@stage(resources=Resources(gpu=1, mem_mb=8000, runtime=240, threads=2), version=1, distributed=True)
def pretrain(
    cohort: Cohort,
    images: Sequence[Image],
    *,
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 1000,
    batch: Annotated[int, Ge(1), Le(256)] = 2,
    patch: Patch = (32, 32, 32),
    architecture: str = "unet",
    channels: Channels = (8, 16, 32, 64),
    arguments: dict[str, int | str] = {},  # noqa: B006 - settings are validated into a fresh copy
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.003,
    spacing_mm: Spacing | None = None,
    normalisation: Literal["volume", "cohort"] = "volume",
    cell: Annotated[int, Ge(2), Le(64)] = 8,
    hidden: Annotated[float, Gt(0), Le(0.95)] = 0.6,
    align: Annotated[float, Ge(0)] = 0.1,
    checkpoint_every: Annotated[int, Ge(1)] = 100,
    licence: str = "unknown",
    ctx: Context = Context(),
) -> Pretraining:
    """Pre-train a network on scans without labels; `segmentation.train --from` goes on from it.

    cohort   one row a scan; rows of the splits "val" and "test" are left alone
    images   (x, y, z) of row i, any intensity unit; all of one body part and kind
    model    weights, of the family "segmentation-encoder"
    metrics  losses in bins of steps, in parts: "tell" (error of hidden voxels), "foresee" (which cells are hard),
             "align" (the same anatomy in two scans)

    Settings
    steps: updates of the weights
    batch: pairs of patches of an update; several processes share them
    patch: voxels of a patch along R, A, S; multiples of `cell` and of what the network halves
    architecture: as in `segmentation.train`, but none that has a loss of its own
    channels: features of each level, finest first
    arguments: further arguments of the architecture
    learning_rate: highest rate of AdamW
    spacing_mm: of the model's grid along R, A, S, mm; the median of the scans by default
    normalisation: "volume" by each scan's own moments (MR), "cohort" by those of all (CT)
    cell: voxels along each side of the cells that are hidden
    hidden: share of the cells that are hidden
    align: weight of the contrastive loss between scans
    checkpoint_every: steps between checkpoints
    licence: of the scans; written into the model

    Scans of rows that are trained on are held in memory. A pre-training that was killed goes on from its last
    checkpoint and ends with the same bytes. Several GPUs: `voxfield segmentation.pretrain --processes 4 ...`, the
    weights of one process up to rounding. Raises InputError where no row is left to train on.

    Source: masked volumes with mining of hard cells, see `pretraining._masking`; anatomical alignment after Alice, see
    `pretraining._alignment`.
    """
    from voxfield.segmentation._optimise import Schedule, optimise
    from voxfield.segmentation.networks import OwnLoss, build, multiple
    from voxfield.segmentation.pretraining._scans import prepared
    from voxfield.segmentation.pretraining._siblings import OUTPUTS, Siblings
    from voxfield.segmentation.pretraining._task import Task

    network_arguments = {**arguments, "in_channels": 1, "channels": list(channels)}
    require_patch(patch, multiple(architecture, network_arguments))
    if any(n % min(cell, n) for n in patch):
        raise SettingsError(f"patch is {patch}; its sides are multiples of cell, which is {cell}")
    rows = [i for i, split in enumerate(cohort.columns.get("split", [None] * len(cohort))) if split in (None, "train")]
    if len(cohort) != len(images) or not rows:
        raise InputError(
            f"{len(rows)} of {len(cohort)} rows are to be trained on, {len(images)} images are given; "
            "expected one image for every row, and at least one row of the split 'train'",
            file=cohort.file,
        )
    if "split" not in cohort.columns:
        message = f"no column 'split': all {len(rows)} scans are trained on, those kept for tests among them"
        ctx.finding("no-split", "warning", message, file=cohort.file)
    scans, grid_mm = prepared([images[i] for i in rows], spacing_mm, normalisation)
    network = build(architecture, {**network_arguments, "classes": OUTPUTS}, seed=ctx.seed)
    if isinstance(network, OwnLoss):
        raise SettingsError(f"architecture {architecture!r} has a loss of its own; expected one that gives logits")
    both = Siblings(network)
    task = Task(scans, patch, batch, cell, hidden, align, steps)
    device = ctx.torch_device()
    history = optimise(
        both, lambda step: task.loss(both, step, ctx.seed, device), Schedule(steps, learning_rate, checkpoint_every),
        device=device, workspace=ctx.workspace, progress=lambda numbers: ctx.progress(numbers, desc="pretrain"),
    )  # fmt: skip
    account = {"scans": len(rows), "steps": steps, "spacing_mm": list(grid_mm)}
    config = {"arguments": network_arguments, "normalisation": normalisation, **account}
    model = Model(
        both.student.state_dict(), config, family="segmentation-encoder", architecture=architecture, licence=licence
    )
    return Pretraining(model, Metrics({**account, "loss_curve": history.curves()}))
