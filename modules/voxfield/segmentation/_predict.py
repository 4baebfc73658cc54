"""The stage `segmentation.predict`: a trained network, or several, over a whole scan; the result on the scan's own
grid.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Lt

from voxfield.artifacts import Image, LabelMap, Model, check_pair
from voxfield.errors import InputError, about
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from torch import nn

    from voxfield.segmentation._plan import Plan
    from voxfield.segmentation._region import Region


class Prediction(NamedTuple):
    """What `segmentation.predict` makes."""

    probability: Image
    mask: LabelMap
    uncertainty: Image | None


@stage(resources=Resources(gpu=1, mem_mb=8000, runtime=30, threads=2, bytes_per_voxel={"image": 10}), version=2)
def predict(
    image: Image,
    model: Model,
    lung: LabelMap | None = None,
    ensemble: Sequence[Model] = (),
    *,
    overlap: Annotated[float, Ge(0), Lt(1)] = 0.5,
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5,
    flips: bool = False,
    bits: Literal[8, 16, 32] = 32,
    ctx: Context = Context(),
) -> Prediction:
    """Segment one volume with a model of `segmentation.train`, or with several.

    image        (x, y, z), any intensity unit, any orientation and spacing: it is brought to the model's
                 grid and back
    model        of the family "segmentation"
    lung         (x, y, z) on the grid of `image`, of `segmentation.lung`; only where the model was trained with it. A
                 model that was trained near the lungs looks there only, and finds nothing elsewhere
    ensemble     further models, of the same labels, patch and spacing, whose probabilities are averaged with it
    probability  (x, y, z) float32 in [0, 1] on the grid of `image`: that a voxel is of any foreground label
    mask         (x, y, z) on the grid of `image`: where that probability exceeds `threshold`, the most
                 probable label
    uncertainty  (x, y, z) standard deviation of the probability between models and mirror images; none for a
                 single model without `flips`

    Settings
    overlap: share of a window that its neighbour covers too
    threshold: probability above which a voxel is foreground
    flips: average over the scan's mirror images along every axis too; eight times the work
    bits: of the stored probability and uncertainty; 8 and 16 take a quarter and half of the space

    A scan outside the spacings or intensities that the model saw gives the findings
    `spacing-outside-training` and `intensity-outside-training`, a mask without foreground `empty-mask`, a GPU with too
    little memory `out-of-memory`: smaller windows are taken, and the CPU at last. Raises InputError for a model of
    another family, whose weights do not fit its architecture, or that differs from the first in more than its weights
    and its normalisation.
    """
    import numpy as np

    from voxfield.segmentation._inference import segment
    from voxfield.segmentation._scans import voxels

    data = voxels(image)
    if lung is not None:
        check_pair(image, lung)
    device = ctx.torch_device()
    networks = [_restored(each) for each in (model, *ensemble)]
    plan = networks[0][1]
    for (_, other), each in zip(networks[1:], ensemble, strict=True):
        _require_alike(plan, other, each)
    region = _region(plan, lung)
    result = segment(
        region.cut(data), image.affine, networks, overlap=overlap, flips=flips, device=device,
        lung=None if lung is None else region.cut(lung.data), progress=ctx.progress,
    )  # fmt: skip
    for code, message, seen in plan.remarks(result.frame.own_spacing, result.percentiles):
        ctx.finding(code, "warning", message, file=image.file, value=seen)
    for message in result.retreats:
        ctx.finding("out-of-memory", "warning", message, file=image.file)
    stored = None if bits == 32 else bits
    probability = Image(region.paste(result.probability, data.shape), image.affine, bits=stored)
    largest = max(plan.labels)
    values = np.array([0, *plan.labels], dtype=np.uint8 if largest < 256 else np.int32)
    mask = np.where(probability.data > threshold, values[region.paste(result.label, data.shape)], values[0])
    if not mask.any():
        most = float(probability.data.max())
        message = f"no foreground: the highest probability is {most:.3g}, the threshold {threshold:g}"
        ctx.finding("empty-mask", "warning", message, file=image.file)
    spread = None
    if result.spread is not None:
        spread = Image(region.paste(result.spread, data.shape), image.affine, bits=stored)
    return Prediction(probability, LabelMap(mask, image.affine, labels=plan.labels), spread)


def _restored(model: Model) -> "tuple[nn.Module, Plan]":
    """The network and the plan of a model file."""
    from voxfield.segmentation._plan import FAMILY, Plan
    from voxfield.segmentation.networks import restore

    if model.family != FAMILY:
        raise InputError(f"is a model of the family {model.family!r}; expected {FAMILY!r}", file=model.file)
    with about(model.file):
        plan = Plan.from_config(model.architecture, model.config)
        return restore(plan.architecture, plan.arguments, model.weights), plan


def _region(plan: "Plan", lung: LabelMap | None) -> "Region":
    """Where the scan is looked at; refuses a missing lung."""
    from voxfield.segmentation._region import WHOLE, chest

    if plan.lung_margin_mm is None:
        return WHOLE
    if lung is None:
        raise InputError("the model looks near the lungs only, but none are given; `segmentation.lung` makes them")
    return chest(lung, plan.lung_margin_mm)


def _require_alike(first: "Plan", other: "Plan", model: Model) -> None:
    """Refuse a model that can not be averaged with the first."""
    for name in ("labels", "patch", "spacing_mm", "extras", "lung_margin_mm"):
        ours, theirs = getattr(first, name), getattr(other, name)
        if ours != theirs:
            raise InputError(
                f"has the {name} {theirs}, the first model {ours}; an ensemble shares them", file=model.file
            )
