"""Lines of sight between voxels of a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voxfield.pde._domain import Ints, Mask, VoxelDomain

SAMPLES = 2  # per voxel of a line


def in_sight(domain: VoxelDomain, places: Ints, goals: Ints) -> Mask:
    """Whether the straight lines between pairs of voxels, (m,) and (m,), stay in the mask, seen at half-voxel steps."""
    start, way = domain.cells[places], domain.cells[goals] - domain.cells[places]
    count = SAMPLES * int(np.abs(way).max(initial=0))
    free = np.ones(len(places), dtype=bool)
    for sample in range(1, count):
        x, y, z = np.rint(start + way * (sample / count)).astype(np.intp).T
        free &= domain.mask[x, y, z]
    return free
