"""The stage `segmentation.evaluate`: every metric of a mask against a reference in one call, in mm.

Definitions, sources and the rules for empty masks stand in `segmentation.metrics`: overlap (`_overlap`),
clDice and the ATM'22 tree metrics (`_tree`), Betti numbers (`_topology`) and surface distances (`_surface`).
"""

from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Gt

from voxfield.artifacts import LabelMap, Metrics, check_pair
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.segmentation.metrics._topology import Mask
    from voxfield.segmentation.tree._skeleton import Floats

NEEDS_WHOLE_REFERENCE = (
    "cl_dice", "topology_precision", "topology_sensitivity", "tree_length_detected",
    "tree_length_reference_mm", "branches_detected", "branches_reference", "hd95_mm", "assd_mm", "nsd",
)  # fmt: skip
BETTI_NAMES = ("components", "tunnels", "cavities")


class Evaluation(NamedTuple):
    """What `segmentation.evaluate` makes."""

    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=20), version=1)
def evaluate(
    prediction: LabelMap,
    reference: LabelMap,
    *,
    tolerance_mm: Annotated[float, Gt(0)] = 1.0,
    ctx: Context = Context(),
) -> Evaluation:
    """Compare a mask with a reference: overlap, centerlines, branches, topology and surfaces.

    prediction  (x, y, z); every label above 0 is foreground, bridges and filled voxels included
    reference   (x, y, z) on the same grid; its unannotated voxels are left out of every count

    Metrics: dice, precision, recall, leakage_ml; cl_dice with topology_precision and topology_sensitivity;
    tree_length_detected and branches_detected (shares, ATM'22 by mm); betti_prediction, betti_reference and
    betti_error (components, tunnels, cavities; foreground 26-, background 6-connected) and the components at
    6-connectivity; hd95_mm, assd_mm and nsd. Where the reference is only partly annotated, all but the
       overlap
    is null: skeletons, surfaces and Betti numbers of a few slices say nothing about the vessel.

    Settings
    tolerance_mm: distance up to which two surfaces agree in nsd, mm

    Compare Betti numbers with those of the reference, not with a tree: real airways and the circle of Willis
    have loops. Raises InputError for two grids or a sheared grid; empty masks give the values written in the
    definitions and the finding `empty-mask`.
    """
    import numpy as np

    from voxfield.segmentation.metrics._overlap import overlap
    from voxfield.segmentation.metrics._topology import bounding_box

    check_pair(prediction, reference)
    grid = reference.grid
    if not grid.is_orthogonal():
        raise InputError("the grid is sheared; distances in mm need right angles", file=reference.file)
    known = np.ones(grid.shape, bool) if reference.unannotated is None else reference.data != reference.unannotated
    ours = (prediction.data > 0) & (prediction.data != prediction.unannotated) & known
    theirs = (reference.data > 0) & known
    for name, mask in (("prediction", ours), ("reference", theirs)):
        if not mask.any():
            ctx.finding("empty-mask", "warning", f"the {name} has no foreground where the reference is annotated")
    values: dict[str, object] = {"connectivity": "foreground 26, background 6", "tolerance_mm": tolerance_mm}
    values |= overlap(ours, theirs, grid.voxel_volume_mm3)
    values["annotated_share"] = float(known.mean())
    if known.all():
        box = bounding_box(ours | theirs, 1) if (ours | theirs).any() else (slice(0, 1),) * 3
        values |= _shape_metrics(ours[box], theirs[box], grid.spacing, tolerance_mm)
    else:
        text = f"{known.mean():.1%} of the reference is annotated: only overlap is measured"
        ctx.finding("partly-annotated", "info", text, value=float(known.mean()))
        values |= dict.fromkeys((*NEEDS_WHOLE_REFERENCE, "betti_prediction", "betti_reference", "betti_error"))
    return Evaluation(Metrics(values))


def _shape_metrics(ours: "Mask", theirs: "Mask", spacing: "Floats", tolerance_mm: float) -> dict[str, object]:
    """Metrics of two whole masks, cropped to the box around both."""
    from voxfield.segmentation.metrics._surface import surface_distances
    from voxfield.segmentation.metrics._topology import betti_numbers, count_components
    from voxfield.segmentation.metrics._tree import cl_dice, tree_detection
    from voxfield.segmentation.tree._skeleton import skeletonise

    thin_ours, thin_theirs = skeletonise(ours), skeletonise(theirs)
    betti = betti_numbers(ours), betti_numbers(theirs)
    error = [abs(a - b) for a, b in zip(*betti, strict=True)]
    return {
        **cl_dice(ours, theirs, thin_ours, thin_theirs),
        **tree_detection(ours, thin_theirs, spacing),
        **surface_distances(ours, theirs, spacing, tolerance_mm),
        "betti_prediction": betti[0]._asdict(),
        "betti_reference": betti[1]._asdict(),
        "betti_error": dict(zip(BETTI_NAMES, error, strict=True)),
        "face_components_prediction": count_components(ours, 6),
        "face_components_reference": count_components(theirs, 6),
    }
