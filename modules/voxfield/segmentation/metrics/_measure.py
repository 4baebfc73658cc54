"""Every metric of two binary masks, each piece of work done once and shared.

Per mask: its foreground as a list, the cells on its border (Euler characteristic and surface), its skeleton
(clDice and tree) and its components.
"""

from typing import Any, NamedTuple

import numpy as np

from voxfield.segmentation.metrics._branches import parse
from voxfield.segmentation.metrics._cells import Cells, Floats, mixed_cells
from voxfield.segmentation.metrics._foreground import Foreground, Ints, Mask, foreground
from voxfield.segmentation.metrics._overlap import overlap
from voxfield.segmentation.metrics._runs import count_foreground, largest_component, without_cavities
from voxfield.segmentation.metrics._surface import surface_dice, surface_distances
from voxfield.segmentation.metrics._topology import Betti, betti_of
from voxfield.segmentation.metrics._tree import atm22, cl_dice, tree_detection
from voxfield.segmentation.tree._thinning import thin

NEEDS_WHOLE_REFERENCE = (
    "cl_dice", "topology_precision", "topology_sensitivity", "tree_length_detected",
    "tree_length_reference_mm", "branches_detected", "branches_reference", "generations", "atm22",
    "hd95_mm", "assd_mm", "nsd", "betti_prediction", "betti_reference", "betti_error",
    "face_components_prediction", "face_components_reference",
)  # fmt: skip


class _Shape(NamedTuple):
    """A mask with what several metrics need of it."""

    mask: Mask
    places: Foreground
    cells: Cells
    skeleton: Ints
    betti: Betti
    face_components: int

    def covers(self, voxels: Ints) -> Mask:
        """Whether the mask holds each of the voxels (n, 3)."""
        return np.asarray(self.mask[tuple(voxels.T)])


def measure(
    prediction: Mask, reference: Mask, spacing: Floats, voxel_mm3: float, tolerance_mm: float, whole: bool
) -> dict[str, Any]:
    """Metrics of two (x, y, z) bool arrays on one grid; `whole` tells whether all of the reference is annotated."""
    values: dict[str, Any] = dict(overlap(prediction, reference, voxel_mm3))
    if not whole:
        return values | dict.fromkeys(NEEDS_WHOLE_REFERENCE)
    ours, theirs = _shape(prediction), _shape(reference)
    return values | {
        **cl_dice(prediction, reference, ours.skeleton, theirs.skeleton),
        **_tree(ours, theirs, spacing),
        **surface_distances(ours.places, theirs.places, spacing),
        "nsd": surface_dice((ours.places, ours.cells), (theirs.places, theirs.cells), spacing, tolerance_mm),
        "betti_prediction": ours.betti._asdict(),
        "betti_reference": theirs.betti._asdict(),
        "betti_error": Betti(*(abs(a - b) for a, b in zip(ours.betti, theirs.betti, strict=True)))._asdict(),
        "face_components_prediction": ours.face_components,
        "face_components_reference": theirs.face_components,
    }


def _shape(mask: Mask) -> _Shape:
    places = foreground(mask)
    cells = mixed_cells(places)
    return _Shape(mask, places, cells, thin(places), betti_of(places, cells), count_foreground(places, 6))


def _tree(ours: _Shape, theirs: _Shape, spacing: Floats) -> dict[str, Any]:
    """Tree length and branches; the skeleton of the challenge's one component is ours where there is but one."""
    both_empty = not len(ours.places.places) and not len(theirs.places.places)
    held_by_faces = theirs.face_components == theirs.betti.components
    tree = parse(theirs.places, theirs.skeleton, 6 if held_by_faces else 26)
    largest = tree
    if theirs.face_components > 1 or theirs.betti.cavities:
        component = without_cavities(largest_component(theirs.places, 6))
        largest = parse(component, thin(component), 6)
    return {
        **tree_detection(tree, ours.covers(tree.skeleton), spacing, both_empty),
        "atm22": atm22(largest, ours.covers(largest.skeleton), both_empty),
    }
