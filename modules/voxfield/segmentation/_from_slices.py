"""The stage `segmentation.from_slices`: masks drawn on a few planes, of any orientation, become a dense shape.

OReX: Sawdayee, Vaxman and Bermano, "OReX: Object Reconstruction from Planar Cross-sections Using Neural Fields", CVPR
2023 (arXiv 2211.12886). A neural field is fitted to inside and outside on the planes; network, losses and sampling, and
what differs from the paper, are told in `slices._field` and `slices._fit`. It sees no image: where intensities say
more than neighbouring slices do, train a U-Net on the same annotation (`segmentation.train`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Image, LabelMap, Metrics
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.segmentation.slices import _annotated
    from voxfield.segmentation.slices._fit import Fitted


class Shape(NamedTuple):
    """What `segmentation.from_slices` makes."""

    probability: Image
    mask: LabelMap
    metrics: Metrics
    disagreement: Image | None


@stage(resources=Resources(mem_mb=3000, runtime=30), version=1)
def from_slices(
    annotation: LabelMap,
    slices: Sequence[LabelMap] = (),
    reference: Image | None = None,
    *,
    steps: Annotated[int, Ge(1), Le(100_000)] = 400,
    folds: Annotated[int, Ge(0), Le(100)] = 4,
    ctx: Context = Context(),
) -> Shape:
    """Make a dense shape from a mask that was drawn on a few planes, without looking at any image.

    annotation    (x, y, z) labels on planes along or across the axes, 0 for background there; all other voxels carry
                  its unannotated value (255 by convention)
    slices        more drawings, each (x, y, z) with an affine of its own: single slices of any orientation, or whole
                  stacks of them
    reference     whose grid the result gets; by default that of `annotation`, which may be without unannotated voxels
                  where a reference is given (a stack of thick slices, say)
    probability   (x, y, z) float32 in [0, 1]: that a voxel is of any label
    mask          (x, y, z): where that probability exceeds 0.5, the likeliest label
    disagreement  (x, y, z) float32 in [0, 1]: root mean square difference of the probability from those of fields that
                  each lack some planes; none without such fields
    metrics       `fit`: Dice of every label on the drawn voxels. `left_out`: Dice on planes that the field asked had
                  not seen, pooled over all planes and plane by plane (ordered along the axis that they face); what to
                  expect between planes, and pessimistic. `gap_mm`: the widest gap between planes within the shape

    Settings
    steps: updates of each field's weights
    folds: fields that each lack every n-th plane, for `left_out` and `disagreement`; 0 for none

    Beyond the outer planes the shape closes about as fast as its outline there is wide, and nothing is foreground
    farther from drawn foreground than `gap_mm`: draw where it ends. Planes within a volume are found by their shape;
    voxels that lie on none are used and never left out. Raises InputError for drawings with nothing but one label,
    one plane, no contour, labels with two names, and an annotation without unannotated voxels. A run that was killed
    keeps the fields that it had finished and ends with the same bytes.
    """
    import numpy as np

    from voxfield.segmentation.slices._annotated import gather, label_names
    from voxfield.segmentation.slices._left_out import agreement, folds_of, overlap, predicted
    from voxfield.segmentation.slices._volume import evaluate

    maps = [annotation, *slices]
    names = label_names(maps)
    if reference is None:
        _require_unannotated(annotation)
    drawn = gather(maps, list(names), ctx.rng())
    _require_planes(drawn, annotation)
    left_out = folds_of(drawn.plane_numbers, folds)
    if folds and not left_out:
        text = f"{len(drawn.plane_numbers)} planes are too few to leave one out: the error between them is not known"
        ctx.finding("no-plane-left-out", "warning", text)
    whole, *others = [
        _fitted(drawn.keep(~np.isin(drawn.planes, planes)), len(names), f"field-{number}", steps, ctx)
        for number, planes in enumerate(ctx.progress([[], *left_out], desc="fields"))
    ]
    if whole is None:
        raise RuntimeError("the whole drawing has both sides of a contour")
    grid = annotation.grid if reference is None else reference.grid
    dense = evaluate(whole, others, grid, lambda layers: ctx.progress(layers, desc="layers"))
    if not dense.classes.any():
        most = float(dense.probability.max())
        ctx.finding("empty-mask", "warning", f"no foreground: the highest probability is {most:.3g}")
    metrics = {
        "planes": len(drawn.plane_numbers),
        "annotated": len(drawn.points),
        "gap_mm": whole.gap_mm,
        "fit": {"dice": overlap(predicted(whole, drawn), drawn.classes, list(names.values()))},
        "left_out": agreement(drawn, left_out, others, list(names.values())) if left_out else None,
    }
    values = np.array([0, *names], dtype=np.int64)
    return Shape(
        Image(dense.probability, grid.affine),
        LabelMap(values[dense.classes], grid.affine, labels=names),
        Metrics(metrics),
        None if dense.disagreement is None else Image(dense.disagreement, grid.affine),
    )


def _require_unannotated(annotation: LabelMap) -> None:
    value = annotation.unannotated
    if value is None or not (annotation.data == value).any():
        raise InputError(
            "has no unannotated voxel, so that there is nothing to fill in (zeros count as drawn background); give "
            "voxels that nobody looked at the unannotated value, 255 by convention, or a reference with a finer grid",
            file=annotation.file,
        )


def _require_planes(drawn: "_annotated.Annotated", annotation: LabelMap) -> None:
    if not len(drawn.edges):
        raise InputError(
            "no two neighbouring voxels have different labels: no plane shows a contour; expected at least one that "
            "cuts through the shape's boundary",
            file=annotation.file,
        )
    if len(drawn.plane_numbers) < 2:
        raise InputError(
            f"found {len(drawn.plane_numbers)} plane among the annotated voxels; expected at least two, a shape "
            "between planes needs both",
            file=annotation.file,
        )


def _fitted(drawn: "_annotated.Annotated", labels: int, checkpoint: str, steps: int, ctx: Context) -> "Fitted | None":
    """A field for what was drawn, taken from the workspace where it was finished; None where there is no contour."""
    from voxfield.segmentation.slices._fit import fit, prepare

    if not len(drawn.edges):
        return None
    fitted, device = prepare(drawn, labels, ctx.seed), ctx.torch_device()
    finished = ctx.workspace.load(checkpoint)
    if finished is None:
        fit(drawn, fitted, steps=steps, seed=ctx.seed, device=device)
        weights = {name: tensor.cpu() for name, tensor in fitted.field.state_dict().items()}
        ctx.workspace.save(checkpoint, weights, {})
    else:
        fitted.field.load_state_dict(finished[0])
        fitted.field.to(device).eval()
    return fitted
