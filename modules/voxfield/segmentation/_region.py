"""Where in a chest CT is looked: within the hull of the lungs and a margin around it.

Scans differ in how much they show around the chest, from nothing to the table and the air beside it. A network that saw
little of that calls it airway: both are air beside a wall. So a scan is cut to the box of its lungs, which saves the
time that windows over the table would cost, and the corners of the box, which hold air beside the patient, are left
out: what counts is a cylinder along the body, the convex hull of the projected lungs with everything between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import LabelMap
from voxfield.segmentation._preprocess import canonical_axes


@dataclass(frozen=True)
class Region:
    """A part of a scan (x, y, z).

    box     its slices
    inside  which voxels of the box count; broadcasts to it
    """

    box: tuple[slice, slice, slice] = (slice(None), slice(None), slice(None))
    inside: NDArray[np.bool_] | np.bool_ = np.True_

    def cut(self, whole: NDArray[Any]) -> NDArray[Any]:
        """The box of a volume."""
        return whole[self.box]

    def paste(self, part: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
        """A volume of `shape` with `part` where it was; 0 where nothing counts."""
        whole = np.zeros(shape, part.dtype)
        np.copyto(whole[self.box], part, where=self.inside)
        return whole


WHOLE = Region()


def chest(lung: LabelMap, margin_mm: Sequence[float]) -> Region:
    """The region of the lungs; the whole scan where the mask is empty.

    lung       (x, y, z), above 0 in the lungs
    margin_mm  (3,) along R, A, S, on either side
    """
    (right, front, up), _ = canonical_axes(lung.affine)
    inside = np.asarray(lung.data > 0)
    if not inside.any():
        return WHOLE
    shown = np.asarray(inside.any(axis=up))
    cells = np.zeros(3)
    cells[[right, front, up]] = np.asarray(margin_mm) / lung.grid.spacing[[right, front, up]]
    box = [_around(np.any(inside, axis=tuple({0, 1, 2} - {axis})), cells[axis]) for axis in range(3)]
    cylinder = np.expand_dims(_grown_hull(shown, np.delete(cells, up)), up)
    plane = [slice(None) if axis == up else part for axis, part in enumerate(box)]
    return Region((box[0], box[1], box[2]), cylinder[tuple(plane)])


def _around(found: NDArray[np.bool_], margin: float) -> slice:
    """The extent of what is found along an axis, and a margin in voxels."""
    places, margin = np.flatnonzero(found), round(margin)
    return slice(max(int(places[0]) - margin, 0), min(int(places[-1]) + margin + 1, len(found)))


def _grown_hull(shown: NDArray[np.bool_], margin: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The convex hull of a plane, and what lies no farther from it than margins (2,) in pixels."""
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import convex_hull_image

    away = distance_transform_edt(~convex_hull_image(shown), sampling=1 / np.maximum(margin, 1e-3))
    return np.asarray(away <= 1)
