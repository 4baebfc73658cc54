"""The stage `segmentation.annotate`: a sparse annotation, every n-th slice of a dense mask or of a thresholded image.

It stands in for a reader who annotates a few slices, as in the sparse setting of Cicek et al., "3D U-Net" (2016),
arXiv 1606.06650. All other voxels carry the unannotated value, so that no loss ever reads them as background.
"""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Image, LabelMap, check_pair
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

UNANNOTATED = 255


class Annotation(NamedTuple):
    """What `segmentation.annotate` makes."""

    annotation: LabelMap


@stage(resources=Resources(mem_mb=2000, runtime=10), version=1)
def annotate(
    image: Image,
    dense: LabelMap | None = None,
    *,
    every: Annotated[int, Ge(1), Le(1000)] = 6,
    axis: Literal[0, 1, 2] = 2,
    threshold: float | None = None,
    ctx: Context = Context(),
) -> Annotation:
    """Keep every n-th slice of a mask, or of the image above a threshold, as a sparse annotation.

    image  (x, y, z), the scan that is annotated
    dense  (x, y, z), labels on the same grid; without it `threshold` says what is foreground (label 1)

    Settings
    every: distance of annotated slices, slices; the first lies in the middle of the first stretch
    axis: voxel axis that the slices are perpendicular to
    threshold: intensity above which a voxel is foreground, unit of the image; only without `dense`

    A threshold is no reader: the finding `annotated-by-threshold` says so wherever the result goes. Raises
    SettingsError when neither or both of `dense` and `threshold` are given, InputError when no slice holds foreground.
    """
    import numpy as np

    if (dense is None) == (threshold is None):
        raise SettingsError("segmentation.annotate takes either the input 'dense' or the setting 'threshold'")
    if dense is not None:
        check_pair(image, dense)
        dense.require_labels(range(UNANNOTATED))
        labels, names = dense.data, dict(dense.labels) or {1: "lumen"}
        if dense.unannotated is not None:
            labels = np.where(labels == dense.unannotated, UNANNOTATED, labels)
    else:
        labels, names = (np.asarray(image.data) > threshold).astype(np.uint8), {1: "above threshold"}
        ctx.finding(
            "annotated-by-threshold", "warning", f"annotation is intensity > {threshold}, not a reader", file=image.file
        )
    kept = np.zeros(labels.shape[axis], dtype=bool)
    kept[every // 2 :: every] = True
    shown = np.expand_dims(kept, tuple(a for a in range(3) if a != axis))
    sparse = np.where(shown, labels, UNANNOTATED).astype(np.uint8)
    foreground = int(np.count_nonzero((sparse > 0) & (sparse != UNANNOTATED)))
    if foreground == 0:
        raise InputError(f"no foreground on the {int(kept.sum())} annotated slices; lower `every`", file=image.file)
    ctx.finding("annotated-slices", "info", f"{int(kept.sum())} of {kept.size} slices annotated, {foreground} voxels")
    return Annotation(LabelMap(sparse, image.affine, labels=names, unannotated=UNANNOTATED))
