"""Where a velocity tells about the pressure: not at the wall, which no mask knows to the voxel.

A voxel that the wall cuts holds the mean of blood and nothing, and a mask half a voxel too wide holds voxels in which
the flow has stopped. There the velocity has a kink and its Laplacian is meaningless, and the drag of the wall -- in a
straight tube all of the pressure drop -- lies inside the mask and cancels. When all voxels count alike, the drop in a
tube is 10 % short in the first case, at any resolution, and 75 % short in the second (`tests/pde/test_wall.py`). A mask
that is too narrow does no harm: the weak form is right on any part of the lumen.

So the flow itself says where the wall is, by the speed of the mean velocity of all samples:

- in the local fits a voxel counts by (speed / (SLOW x largest speed within 2 voxels))^4, at most 1, and by another
  factor TOUCHING if it touches the wall of the mask;
- in the weak form, integral(k grad p . grad q) = integral(k b . grad q), k is the speed, times TOUCHING likewise, and
  on a face the lesser of its two voxels. This is as consistent as k = 1, since it holds for the exact b and p whatever
  k is, and it puts the weight where the flow is: its answer for the drop between two openings is the work of b along
  k grad phi, a field that vanishes where the flow does, which is the idea of virtual work-energy (`_work_energy`);
- in the Stokes problem (`_stokes`) the faces of a voxel that touches the wall resist w by 1 / TOUCHING - 1 times what
  the neighbouring faces do, so that it hardly flows there.

The factors are relative, so where every voxel touches the wall they all count alike. The constants were chosen on six
phantom vessels and confirmed on others (drop error there .15 with k = 1, .05 with these; .45 and .06 in masks one voxel
too wide).

The price is paid where a boundary layer is thinner than a voxel, whose drag and inertia cancel in the voxels that the
fits do without. Between inclined walls, at Reynolds numbers up to 150 (converging) and 12 (diverging) and 8 voxels
across, the root mean square error of the drop is 7 %; it is 2 % if the fits take all voxels alike, which on vessels
whose walls cut voxels costs 13 % instead of 3 %. `_discretisation` has both kinds of flow in its calibration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints, VoxelDomain

SLOW = 0.4
POWER = 4
TOUCHING = 0.01
WINDOW = 5  # voxels across the neighbourhood that a speed is compared with
FLOOR = 1e-3  # smallest weight over the largest, so that every voxel keeps a pressure


def fit_trust(domain: VoxelDomain, speed: Floats, wall: Ints) -> Floats:
    """Weight (n,) of each voxel in the local fits.

    speed  (x, y, z)  of the mean flow, in any unit
    wall   unknowns that touch the wall
    """
    inside = np.where(domain.mask, speed, 0.0)
    largest = ndimage.maximum_filter(inside, size=WINDOW)[domain.mask]
    ratio = np.divide(inside[domain.mask], SLOW * largest, out=np.ones(domain.size), where=largest > 0)
    trust = np.minimum(ratio, 1.0) ** POWER
    trust[wall] *= TOUCHING
    return np.asarray(trust)


def flow_weights(domain: VoxelDomain, speed: Floats, wall: Ints) -> Floats:
    """Weight k (n,) of each voxel in the weak form, 1 for the fastest; arguments as in `fit_trust`."""
    inside = speed[domain.mask]
    largest = inside.max(initial=0.0)
    weights = np.maximum(inside / largest, FLOOR) if largest > 0 else np.ones(domain.size)
    weights[wall] *= TOUCHING
    return np.asarray(weights)


def wall_resistance(domain: VoxelDomain, wall: Ints) -> Floats:
    """Resistance (f,) of the interior faces in the Stokes problem, 1/m^2; 0 away from the wall."""
    touching = np.ones(domain.size)
    touching[wall] = TOUCHING
    coupling = sum(step**-2 for step in domain.spacing)
    return np.asarray(coupling * (1 / face_weights(domain, touching) - 1))


def face_weights(domain: VoxelDomain, weights: Floats) -> Floats:
    """The lesser weight of the two voxels at every interior face (f,)."""
    return np.concatenate([np.minimum(weights[lower], weights[upper]) for lower, upper in domain.faces])
