"""Where in a chest CT is looked: in the box of the lungs and a margin around it.

Scans differ in how much they show around the chest, from nothing to the table and the air beside it. A network that saw
little of that calls it airway: both are air beside a wall. Cutting to the box takes the difference away, and the time
that windows over the table would cost.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import LabelMap
from voxfield.segmentation._preprocess import canonical_axes

Box = tuple[slice, slice, slice]
WHOLE: Box = (slice(None), slice(None), slice(None))


def lung_box(lung: LabelMap, margin_mm: Sequence[float]) -> Box:
    """The box of a lung mask (x, y, z), in voxels of its own grid; all of it where the mask is empty.

    margin_mm  (3,) along R, A, S, on either side
    """
    axes, _ = canonical_axes(lung.affine)
    inside = lung.data > 0
    box = list(WHOLE)
    for world, axis in enumerate(axes):
        found = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        if found.size:
            margin = round(margin_mm[world] / float(lung.grid.spacing[axis]))
            box[axis] = slice(max(int(found[0]) - margin, 0), min(int(found[-1]) + margin + 1, inside.shape[axis]))
    return box[0], box[1], box[2]


def pasted(part: NDArray[Any], box: Box, shape: Sequence[int]) -> NDArray[Any]:
    """A volume of `shape` with `part` in its box, 0 elsewhere."""
    if part.shape == tuple(shape):
        return part
    whole = np.zeros(shape, part.dtype)
    whole[box] = part
    return whole
