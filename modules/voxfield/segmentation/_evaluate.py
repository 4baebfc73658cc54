"""The stage `segmentation.evaluate`: every metric of a mask against a reference in one call, in mm.

Definitions, sources and the rules for empty masks stand in `segmentation.metrics`: overlap (`_overlap`), clDice and
tree (`_tree`), branches of ATM'22 (`_branches`), Betti numbers (`_topology`), surfaces (`_surface`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Gt

from voxfield.artifacts import LabelMap, Metrics, check_pair
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.segmentation.metrics._foreground import Mask


class Evaluation(NamedTuple):
    """What `segmentation.evaluate` makes."""

    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=20), version=3)
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

    Overlap: dice, precision, recall, leakage_ml and its share leakage of the reference, volume_prediction_ml,
    volume_reference_ml, volume_error_ml.
    Tree: cl_dice with topology_precision and topology_sensitivity; tree_length_detected and branches_detected
    (shares, by mm, of all trees of the reference), the same by generation under `generations` (0 is the largest
    branch of a tree), and by voxels of the largest tree, as ATM'22 has it, under `atm22`.
    Topology: betti_prediction, betti_reference and betti_error (components, tunnels, cavities; foreground 26-,
    background 6-connected), face_components_* at 6-connectivity.
    Surface: hd95_mm, assd_mm, and nsd, the surface Dice by area.
    Where the reference holds or declares two labels or more, `classes` has all of this for each of them; labels
    of the prediction that the reference does not know are no classes of their own.

    Where the reference is only partly annotated, all but the overlap is null: skeletons, surfaces and Betti
    numbers of a few slices say nothing about the vessel. An image (x, y, 1) has outlines for surfaces.

    Settings
    tolerance_mm: distance up to which two surfaces agree in nsd, mm

    Compare Betti numbers with those of the reference, not with a tree: real airways and the circle of Willis
    have loops. Raises InputError for two grids or a sheared grid; empty masks give the values written in the
    definitions and the finding `empty-mask`.
    """
    import numpy as np

    from voxfield.segmentation.metrics._measure import measure

    check_pair(prediction, reference)
    grid = reference.grid
    if not grid.is_orthogonal():
        raise InputError("the grid is sheared; distances in mm need right angles", file=reference.file)
    known = _annotated(reference)
    ours, theirs = _foreground(prediction) & known, _foreground(reference) & known
    for name, mask in (("prediction", ours), ("reference", theirs)):
        if not mask.any():
            ctx.finding("empty-mask", "warning", f"the {name} has no foreground where the reference is annotated")
    share = float(known.mean())
    if share < 1:
        text = f"{share:.1%} of the reference is annotated: only overlap is measured"
        ctx.finding("partly-annotated", "info", text, value=share)

    def judged(prediction: "Mask", reference: "Mask") -> dict[str, Any]:
        return measure(prediction, reference, grid.spacing, grid.voxel_volume_mm3, tolerance_mm, share == 1)

    values = judged(ours, theirs)
    declared = {label for label in reference.labels if label > 0 and label != reference.unannotated}
    labels = sorted(declared | set(np.unique(reference.data[theirs]).tolist()))
    if len(labels) > 1:
        _tell_names(prediction.labels, reference.labels, labels, ctx)
        values["classes"] = {
            reference.labels.get(label, str(label)): judged(
                (prediction.data == label) & known, (reference.data == label) & known
            )
            for label in labels
        }
    about = {"connectivity": "foreground 26, background 6", "tolerance_mm": tolerance_mm, "annotated_share": share}
    return Evaluation(Metrics(about | values))


def _annotated(labels: LabelMap) -> "Mask":
    """Voxels (x, y, z) that somebody looked at."""
    import numpy as np

    if labels.unannotated is None:
        return np.ones(labels.data.shape, bool)
    return np.asarray(labels.data != labels.unannotated)


def _foreground(labels: LabelMap) -> "Mask":
    """Voxels (x, y, z) with a label above 0; nobody looked at an unannotated one."""
    import numpy as np

    inside = labels.data > 0
    return np.asarray(inside if labels.unannotated is None else inside & (labels.data != labels.unannotated))


def _tell_names(ours: Mapping[int, str], theirs: Mapping[int, str], labels: list[int], ctx: Context) -> None:
    """A finding where one label has two names: then a class is compared with something else."""
    for label in labels:
        if label in ours and label in theirs and ours[label] != theirs[label]:
            text = f"label {label} is {ours[label]!r} in the prediction and {theirs[label]!r} in the reference"
            ctx.finding("label-names-differ", "warning", text, value=label)
