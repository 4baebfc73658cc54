"""Where a velocity tells about the pressure: not at the wall, which no mask knows to the voxel.

A mask that is half a voxel too wide holds voxels in which the flow has already stopped. There the velocity has a kink
and its Laplacian is meaningless, and the drag of the wall -- in a straight tube all of the pressure drop -- lies inside
the mask and cancels. The same holds, less harshly, for velocities that are means over voxels cut by the wall. When all
voxels count alike, the drop in a tube is 10 % short in the second case, at any resolution, and 75 % short in the first
(`tests/pde/test_wall.py`). A mask that is too narrow does no harm: the weak form is right on any part of the lumen.

So the flow itself says where the wall is, by the speed of the mean velocity of all samples:

- in the local fits a voxel counts by (speed / (SLOW x largest speed within 2 voxels))^4, at most 1;
- in the weak form, integral(k grad p . grad q) = integral(k b . grad q), k is the speed squared. This is as consistent
  as k = 1, since it holds for the exact b and p whatever k is, and it puts the weight where the flow is: its answer for
  the drop between two openings is the work of b along k grad phi, a field that vanishes where the flow does, which is
  the idea of virtual work-energy (`_work_energy`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, VoxelDomain

SLOW = 0.4
POWER = 4
WINDOW = 5  # voxels across the neighbourhood that a speed is compared with
FLOOR = 1e-6  # smallest weight over the largest, so that every voxel keeps a pressure


def fit_trust(domain: VoxelDomain, speed: Floats) -> Floats:
    """Weight (n,) of each voxel in the local fits.

    speed  (x, y, z)  of the mean flow, in any unit
    """
    inside = np.where(domain.mask, speed, 0.0)
    largest = ndimage.maximum_filter(inside, size=WINDOW)[domain.mask]
    ratio = np.divide(inside[domain.mask], SLOW * largest, out=np.ones(domain.size), where=largest > 0)
    return np.asarray(np.minimum(ratio, 1.0) ** POWER)


def face_weights(domain: VoxelDomain, speed: Floats) -> Floats:
    """Weight k (f,) of each interior face in the weak form; 1 for the fastest voxels."""
    square = speed[domain.mask] ** 2
    largest = square.max(initial=0.0)
    if largest == 0:
        return np.ones(sum(domain.face_counts))
    square = np.maximum(square / largest, FLOOR)
    return np.concatenate([(square[lower] + square[upper]) / 2 for lower, upper in domain.faces])
