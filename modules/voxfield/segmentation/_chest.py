"""What lies within the chest: a cylinder along the body around both lungs.

The box of the lungs has corners, and where a scan shows them they hold air beside the patient, which is as dark as a
trachea and has a wall. The convex hull of the lungs, projected along the body, leaves it out and holds everything
between them.
"""

from collections.abc import Sequence

import edt
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import convex_hull_image

from voxfield.artifacts import LabelMap
from voxfield.segmentation._preprocess import canonical_axes
from voxfield.segmentation._region import Box


def within_chest(lung: LabelMap, margin_mm: Sequence[float], box: Box) -> NDArray[np.bool_]:
    """Which voxels of a box lie in the cylinder around the lungs; broadcasts to (x, y, z). All without lungs.

    lung       (x, y, z), above 0 in the lungs
    margin_mm  (3,) along R, A, S, of which the first two count
    """
    (right, front, up), _ = canonical_axes(lung.affine)
    shown = (lung.data > 0).any(axis=up)
    if not shown.any():
        return np.ones((1, 1, 1), bool)
    hull = np.expand_dims(convex_hull_image(shown), up)
    margins = np.ones(3)  # any, along the body: there is one voxel
    margins[right], margins[front] = (max(margin_mm[k], 1e-3) for k in (0, 1))
    away = edt.edt(~hull, anisotropy=tuple(np.asarray(lung.grid.spacing) / margins), black_border=False)
    inside: NDArray[np.bool_] = away <= 1
    place = list(box)
    place[up] = slice(None)
    return inside[tuple(place)]
