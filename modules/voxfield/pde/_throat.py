"""How many voxels lie across the narrowest place on the way to an opening.

The distance to the wall, in voxels, has its ridge on the centerline. Among all paths from one opening to
another, the one whose smallest distance is largest passes through the middle of the throat; that smallest
distance is the throat's half width. It is the highest threshold at which the two openings are still
connected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Mask

FIRST_OPENING = 2
ANY_NEIGHBOUR = np.ones((3, 3, 3), dtype=bool)


def wall_distance(lumen: Mask, marks: NDArray[np.integer]) -> Floats:
    """Distance (x, y, z), in voxels, from each lumen voxel to the nearest wall voxel; openings are no wall.

    lumen  (x, y, z)
    marks  (x, y, z)  an openings label map
    """
    lumen_box = np.pad(lumen, 1)
    caps = np.pad(marks, 1, mode="edge") >= FIRST_OPENING
    wall = ndimage.binary_dilation(lumen_box, ANY_NEIGHBOUR) & ~lumen_box & ~caps
    if not wall.any():
        return np.where(lumen, float(max(lumen.shape)), 0.0)
    distance = ndimage.distance_transform_edt(~wall)[1:-1, 1:-1, 1:-1]
    return np.where(lumen, distance, 0.0)


def voxels_across(lumen: Mask, marks: NDArray[np.integer], start: Mask, ends: dict[int, Mask]) -> dict[int, int]:
    """Whole voxels that fit across the throat between `start` and each end; 0 where they are not connected.

    That is the width of the inscribed ball; a round vessel counts about one voxel less than its diameter.

    start  (x, y, z)           lumen voxels at the reference opening
    ends   label -> (x, y, z)  lumen voxels at the other openings
    """
    box = tuple(slice(max(0, low - 1), high + 2) for low, high in _bounds(lumen))
    distance = wall_distance(lumen[box], marks[box])
    levels = np.unique(distance[distance > 0])
    half_widths = {label: _bottleneck(distance, levels, start[box], end[box]) for label, end in ends.items()}
    return {label: max(0, round(2 * half - 1)) for label, half in half_widths.items()}


def _bounds(mask: Mask) -> list[tuple[int, int]]:
    places = np.argwhere(mask)
    return list(zip(places.min(axis=0).tolist(), places.max(axis=0).tolist(), strict=True))


def _bottleneck(distance: Floats, levels: Floats, start: Mask, end: Mask) -> float:
    """Largest level at which {distance >= level} joins start and end, by bisection; 0 where none does."""
    low, high = -1, len(levels) - 1  # levels[low] joins (or low is -1), everything above high does not
    while low < high:
        middle = (low + high + 1) // 2
        if _joined(distance >= levels[middle], start, end):
            low = middle
        else:
            high = middle - 1
    return float(levels[low]) if low >= 0 else 0.0


def _joined(region: Mask, start: Mask, end: Mask) -> bool:
    labels, _ = ndimage.label(region, ANY_NEIGHBOUR)
    shared = np.intersect1d(labels[start], labels[end])
    return bool((shared > 0).any())
