"""The stage `grading.pretrain`: a start for `grading.train` from images that nobody graded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from voxfield import processes
from voxfield.artifacts import Cohort, Image, Metrics, Model
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.grading.inputs import InputGrid
    from voxfield.grading.pretraining.peac import Peac

COLLAPSED = 0.1  # of the spread that directions at random have


class Pretraining(NamedTuple):
    model: Model
    metrics: Metrics


@stage(resources=Resources(gpu=1, mem_mb=4000, runtime=60, threads=1), version=1, distributed=True)
def pretrain(
    cohort: Cohort,
    images: Sequence[Image],
    *,
    cells: Annotated[int, Ge(4), Le(512)] = 24,
    network: str = "convolutional",
    network_options: tuple[str, ...] = (),
    channels: tuple[int, ...] = (8, 16, 32),
    steps: Annotated[int, Ge(1)] = 1000,
    batch: Annotated[int, Ge(2), Le(1024)] = 32,
    learning_rate: Annotated[float, Gt(0)] = 1e-3,
    weight_decay: Annotated[float, Ge(0)] = 1e-2,
    average: Annotated[float, Ge(0), Lt(1)] = 0.99,
    mirror: tuple[Literal["x", "y", "z"], ...] = (),
    checkpoint_every: Annotated[int, Ge(1)] = 100,
    licence: str = "unknown",
    ctx: Context = Context(),
) -> Pretraining:
    """Pre-train a network on images without grades; `grading.train --from` goes on from it.

    cohort   one row a scan; rows of a split other than "train" are left alone, grades are not looked at
    images   one a row, (x, y, z), any spacing and orientation; a plane has one voxel along its normal
    model    weights of what sees the image, of the family "grading-encoder", and the subjects that it learnt from
    metrics  losses along the steps: "global" (of whole crops) and "local" (of the cells that two crops share), from 0
             where they agree to 4; and "spread", the standard deviation of what crops are mapped to, from 0 (all to the
             same, which is told as `collapsed`) to 1

    Settings
    cells: of the network's grid along the longest side, as in `grading.train`.
    network: as in `grading.train`.
    network_options: of the network, each `name=value`.
    channels: of the stages, multiples of 4.
    steps: optimiser steps.
    batch: images a step, each in two crops; several processes share them.
    learning_rate: at the peak of the schedule.
    weight_decay: of AdamW.
    average: decay of the moving average of the weights, which teaches, and is the result.
    mirror: RAS axes along which anatomy may be mirrored; x for `siamese`, which mirrors one compartment.
    checkpoint_every: steps between two checkpoints.
    licence: of the images; travels with the model.

    Images that train are held in memory on the network's grid. A pre-training that was killed goes on from its last
    checkpoint and ends with the same bytes. Several GPUs: `voxfield grading.pretrain --processes 4 ...`, the weights of
    one process up to rounding. Raises InputError where no row is left to train on, SettingsError where the images are
    too small for two crops.

    Source: Zhou et al. 2023 (PEAC), see `pretraining.peac`.
    """
    import torch

    from voxfield.grading.augment import WEAK
    from voxfield.grading.losses.ordinal import Ordinal
    from voxfield.grading.networks import build
    from voxfield.grading.networks import network_options as read_options
    from voxfield.grading.rows import TrainingSet
    from voxfield.grading.scans import choose_grid, read_scans
    from voxfield.grading.schedule import Method, Plan
    from voxfield.grading.start import ENCODER, encoder_weights
    from voxfield.grading.trainer import Training

    processes.require_share(batch)
    rows = _rows(cohort, images, ctx)
    grid = choose_grid([images[i] for i in rows], cells)
    if len(grid.axes) == 1:
        raise SettingsError(f"the grid {grid.shape} is a line; images to pre-train on are planes or volumes")
    config = {"name": network, "dims": len(grid.axes), "channels": list(channels)}
    config |= {**read_options(network, network_options), "features": 0, "hidden": 0, "grades": 2}
    made = build(config, ctx.seed)
    aim = _aim(made, grid, mirror)
    volumes, _ = read_scans(ctx.progress([images[i] for i in rows], total=len(rows), desc="reading"), grid)
    # The trainer draws among rows with a grade: all have the same, which nothing looks at.
    grades = torch.zeros(len(rows), dtype=torch.int64)
    data = TrainingSet(torch.from_numpy(grid.as_input(volumes)), None, grades, 2)
    plan = Plan(steps, batch, learning_rate, weight_decay, average, WEAK, (), checkpoint_every, ctx.seed)
    training = Training(made, Method(aim, Ordinal()), data, plan, ctx.torch_device())
    result = training.run(ctx.workspace, lambda todo: ctx.progress(todo, desc="pre-training"))
    spread = training.log[-1]["spread"]
    if spread < COLLAPSED:
        message = f"the network maps all crops to nearly the same (spread {spread:.2g} of 1); lower learning_rate"
        ctx.finding("collapsed", "warning", message, value=spread)
    shape = {"shape": list(grid.shape), "spacing_mm": list(grid.spacing_mm)}
    facts = {"scans": len(rows), "steps": steps, "seed": ctx.seed}
    subjects = sorted({str(cohort.column("subject")[row]) for row in rows})
    model = Model(
        encoder_weights(result), {"network": config, "grid": shape, "notes": facts, "subjects": subjects},
        family=ENCODER, architecture=network, licence=licence,
    )  # fmt: skip
    return Pretraining(model, Metrics({**facts, "grid": shape, "log": training.log}))


def _rows(cohort: Cohort, images: Sequence[Image], ctx: Context) -> list[int]:
    from voxfield.grading.splits import role_of

    if len(images) != len(cohort):
        raise InputError(f"{len(images)} images for {len(cohort)} rows of the cohort; expected one for each row")
    roles = map(role_of, cohort.columns.get("split", [None] * len(cohort)))
    rows = [row for row, role in enumerate(roles) if role in (None, "train")]
    if not rows:
        raise InputError("no row of the cohort is of the split 'train'", file=cohort.file)
    if "split" not in cohort.columns:
        message = f"no column 'split': all {len(rows)} scans are trained on, those kept for tests among them"
        ctx.finding("no-split", "warning", message, file=cohort.file)
    return rows


def _aim(network: Any, grid: "InputGrid", mirror: Sequence[str]) -> "Peac":
    """The algorithm, with the sizes of this network."""
    import torch

    from voxfield.grading.pretraining.crops import Crops
    from voxfield.grading.pretraining.peac import Peac

    missing = [part for part in ("trunk", "pool", "stride") if not hasattr(network, part)]
    if missing:
        raise SettingsError(f"the network has no {' and no '.join(missing)}, which pre-training needs")
    crops = Crops.fit([grid.shape[axis] for axis in grid.axes], network.stride)
    with torch.no_grad():
        maps = network.trunk(torch.zeros(1, 1, *(side * network.stride for side in crops.side)))
    axes = tuple(grid.axes.index("xyz".index(a)) for a in mirror if "xyz".index(a) in grid.axes)
    return Peac(crops, maps.shape[1], network.pool(maps).shape[1], axes)
