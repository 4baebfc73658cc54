"""Masks of any grid as occupancies of one common box, so that shapes can be compared."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import LabelMap
from voxfield.errors import InputError

ROOM = 1.1  # side of the box over the largest extent
_POINTS = 2  # points a cell along each axis


def extent_mm(mask: LabelMap) -> float:
    """Largest side of the box around the foreground along R, A and S, mm."""
    points = _foreground(mask)
    return float((points.max(axis=0) - points.min(axis=0)).max())


def occupancy(mask: LabelMap, box_mm: float, side: int) -> NDArray[np.float32]:
    """Share of each cell that is foreground, (side, side, side) along R, A, S.

    box_mm  side of the cube around the centroid of the foreground
    side    cells along each side
    """
    centre = _foreground(mask).mean(axis=0)
    n = side * _POINTS
    line = ((np.arange(n) + 0.5) / n - 0.5) * box_mm
    inverse = np.linalg.inv(mask.affine)
    inside = mask.data > 0
    index = inverse[:3, 3] + inverse[:3, :3] @ centre
    steps = [line[:, None] * inverse[:3, axis] for axis in range(3)]
    cells = np.zeros((side, side, side), dtype=np.float32)
    for plane in range(n):  # plane by plane along R
        place = index + steps[0][plane] + steps[1][:, None] + steps[2]
        nearest = np.floor(place + 0.5).astype(np.int64)
        within = ((nearest >= 0) & (nearest < inside.shape)).all(axis=-1)
        i, j, k = np.moveaxis(np.where(within[..., None], nearest, 0), -1, 0)
        found = inside[i, j, k] & within
        cells[plane // _POINTS] += found.reshape(side, _POINTS, side, _POINTS).sum(axis=(1, 3))
    return cells / np.float32(_POINTS**3)


def occupancies(masks: Sequence[LabelMap], side: int) -> tuple[NDArray[np.float32], float]:
    """All shapes of a cohort (n, side, side, side), and the side of their common box, mm; masks are read one by one."""
    extents = []
    for mask in masks:
        extents.append(extent_mm(mask))
        mask.release()
    box = ROOM * max(extents)
    found = []
    for mask in masks:
        found.append(occupancy(mask, box, side))
        mask.release()
    return np.stack(found), box


def _foreground(mask: LabelMap) -> NDArray[np.float64]:
    """World coordinates (n, 3) of the foreground, mm; raises InputError where there is none."""
    index = np.argwhere(mask.data > 0)
    if not len(index):
        raise InputError("has no foreground; expected a shape", file=mask.file)
    return np.asarray(index @ mask.affine[:3, :3].T + mask.affine[:3, 3])
