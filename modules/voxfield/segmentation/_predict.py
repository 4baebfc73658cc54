"""The stage `segmentation.predict`: a trained network over a whole scan, the result on the scan's own
grid."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Lt

from voxfield.artifacts import Image, LabelMap, Model, check_pair
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage


class Prediction(NamedTuple):
    """What `segmentation.predict` makes."""

    probability: Image
    mask: LabelMap


@stage(resources=Resources(gpu=1, mem_mb=8000, runtime=30, threads=2), version=1)
def predict(
    image: Image,
    model: Model,
    lung: LabelMap | None = None,
    *,
    overlap: Annotated[float, Ge(0), Lt(1)] = 0.5,
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5,
    ctx: Context = Context(),
) -> Prediction:
    """Segment one volume with a model of `segmentation.train`.

    image        (x, y, z), any intensity unit, any orientation and spacing: it is brought to the model's
                 grid and back
    model        of the family "segmentation"
    lung         (x, y, z) on the grid of `image`, of `segmentation.lung`; only where the model was trained with it
    probability  (x, y, z) float32 in [0, 1] on the grid of `image`: that a voxel is of any foreground label
    mask         (x, y, z) on the grid of `image`: where that probability exceeds `threshold`, the most
                 probable label

    Settings
    overlap: share of a window that its neighbour covers too
    threshold: probability above which a voxel is foreground

    A scan outside the spacings or intensities that the model saw gives the findings
    `spacing-outside-training` and
    `intensity-outside-training`, a mask without foreground `empty-mask`. Raises InputError for a model of
    another family,
    or whose weights do not fit its architecture.
    """
    import numpy as np

    from voxfield.segmentation._inference import segment
    from voxfield.segmentation._plan import FAMILY, Plan
    from voxfield.segmentation._scans import voxels
    from voxfield.segmentation.networks import restore

    if model.family != FAMILY:
        raise InputError(f"is a model of the family {model.family!r}; expected {FAMILY!r}", file=model.file)
    data = voxels(image)
    if lung is not None:
        check_pair(image, lung)
    try:
        plan = Plan.from_config(model.architecture, model.config)
        network = restore(plan.architecture, plan.arguments, model.weights)
    except InputError as error:
        raise InputError(error.message, file=model.file) from None
    device = ctx.torch_device()
    result = segment(
        data, image.affine, network.to(device), plan,
        overlap=overlap, device=device, lung=lung, progress=ctx.progress,
    )  # fmt: skip
    for code, message, values in plan.remarks(result.frame.own_spacing, result.percentiles):
        ctx.finding(code, "warning", message, file=image.file, value=values)
    label_values = np.array([0, *plan.labels], dtype=np.int64)
    mask = np.where(result.probability > threshold, label_values[result.label], 0)
    if not mask.any():
        most = float(result.probability.max())
        message = f"no foreground: the highest probability is {most:.3g}, the threshold {threshold:g}"
        ctx.finding("empty-mask", "warning", message, file=image.file)
    return Prediction(Image(result.probability, image.affine), LabelMap(mask, image.affine, labels=plan.labels))
