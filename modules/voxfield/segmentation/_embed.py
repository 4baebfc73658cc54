"""The stage `segmentation.embed`: the shapes of a cohort as points, near where the shapes are alike."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Cohort, LabelMap, Metrics, Model, Table
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

FAMILY = "shape-embedding"


class Embedding(NamedTuple):
    """What `segmentation.embed` makes."""

    points: Table
    model: Model
    metrics: Metrics


@stage(resources=Resources(gpu=1, mem_mb=4000, runtime=60, threads=2), version=1)
def embed(
    cohort: Cohort,
    masks: Sequence[LabelMap],
    *,
    latent: Annotated[int, Ge(1), Le(64)] = 2,
    side: Annotated[int, Ge(16), Le(128)] = 32,
    topology: Annotated[float, Ge(0)] = 0.1,
    spread: Annotated[float, Ge(0)] = 0.0,
    steps: Annotated[int, Ge(1), Le(1_000_000)] = 400,
    batch: Annotated[int, Ge(2), Le(1024)] = 64,
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.003,
    checkpoint_every: Annotated[int, Ge(1)] = 100,
    licence: str = "unknown",
    ctx: Context = Context(),
) -> Embedding:
    """Embed the shapes of a cohort by a topological autoencoder.

    cohort   one row a mask
    masks    (x, y, z) of row i, on any grid; everything above 0 is the shape
    points   subject, patient, coordinates z1, z2, ... and the Dice of the shape that is decoded from them
    model    the autoencoder, of the family "shape-embedding"
    metrics  losses in bins of steps; mean Dice; share of the nearest shapes that are nearest points too

    Settings
    latent: coordinates of a point
    side: cells along each side of the box in which shapes are compared; a multiple of 8
    topology: weight of the topological term beside the cross entropy of occupancies
    spread: weight of the T-REGS term, which keeps the points apart
    steps: updates of the weights
    batch: shapes of an update
    learning_rate: highest rate of AdamW
    checkpoint_every: steps between checkpoints
    licence: of the masks; written into the model

    Shapes are brought to RAS axes, centred, and compared in one box of physical size: place is left out, size and
    orientation are not. Raises InputError for an empty mask and for fewer than three shapes.

    Source: topological autoencoders and T-REGS, see `losses._spanning_tree`.
    """
    from voxfield.segmentation import _shapes
    from voxfield.segmentation._embedding import describe, fit
    from voxfield.segmentation._optimise import Schedule

    if len(cohort) != len(masks) or len(masks) < 3:
        raise InputError(
            f"the cohort has {len(cohort)} rows, and {len(masks)} masks are given; "
            "expected one for every row, 3 or more",
            file=cohort.file,
        )
    if side % 8:
        raise SettingsError(f"side is {side}; expected a multiple of 8")
    shapes, box_mm = _shapes.occupancies(masks, side)
    device = ctx.torch_device()
    network, history = fit(
        shapes, latent, min(batch, len(masks)), (topology, spread),
        Schedule(steps, learning_rate, checkpoint_every),
        seed=ctx.seed, device=device, workspace=ctx.workspace, progress=ctx.progress,
    )  # fmt: skip
    points, dice, kept = describe(network, shapes, device)
    columns: dict[str, Any] = {"subject": cohort.columns["subject"], "patient": cohort.patients}
    columns |= {f"z{k + 1}": points[:, k].tolist() for k in range(latent)}
    config = {"side": side, "latent": latent, "box_mm": box_mm, "orientation": "RAS", "shapes": len(masks)}
    model = Model(
        network.state_dict(), config, family=FAMILY, architecture="shape_autoencoder", licence=licence
    )  # fmt: skip
    facts = {"shapes": len(masks), "box_mm": box_mm, "dice": float(dice.mean()), "neighbours_kept": kept}
    return Embedding(
        Table({**columns, "dice": dice.tolist()}), model, Metrics({**facts, "loss_curve": history.curves()})
    )
