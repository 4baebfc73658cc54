"""Pipes whose flow is known in closed form: solenoidal, at rest on the wall, and made without our prior.

Curved pipe: a quarter of a torus of radius R0 around the z axis, the pipe of radius 1. Flow that does not depend on the
angle about that axis is solenoidal for any velocity u along the pipe and any stream function psi of the section,

    u_R = -(1/R) d psi/dz,   u_z = (1/R) d psi/dR,   s^2 = (R - R0)^2 + z^2,
    u = (1 - s^2) (1 + .4 (R - R0)),   psi = (1 - s^2)^2 (A z + B),

where A z gives the two vortices of Dean (Phil. Mag. 4, 1927), and B the swirl of one vortex; the square lets both rest
on the wall. The axial profile leans outwards, as inertia makes it.

Stenosis: a straight, tilted tube of radius r(x), narrowed by a cosine (Young & Tsai, J. Biomech. 6, 1973), in which
psi = Q (s^2 - s^4 / 2), s = distance / r(x): Poiseuille's profile everywhere, the same flow through every section.

Lengths are in pipe radii; velocities in units of the highest speed among the voxels.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
SUBDIVISION = 3
"""Points along an edge of a voxel, over which its mean is taken."""
SPACING_MM = 0.5
BEND = 3.0
"""Radius of the torus."""
SECONDARY, SWIRL, LEAN = 0.6, 0.35, 0.4
HALF_LENGTH, DIP, TILT = 5.0, 0.3, (1.0, 0.13, -0.09)
"""Of the stenosis: length of the tube and of the dip to either side, radius lost, direction."""


class Flow(NamedTuple):
    """A flow on voxels.

    fraction  (x, y, z) of every voxel that is lumen
    velocity  (x, y, z, 3) mean over the lumen of the voxel, along the voxel axes
    """

    fraction: Array
    velocity: Array

    @property
    def lumen(self) -> Mask:
        """(x, y, z) voxels that are at least half lumen."""
        lumen: Mask = self.fraction >= 0.5
        return lumen


def curved_pipe(voxels: int) -> Flow:
    """A quarter of a torus with about so many voxels of lumen; it leaves the field of view at x = 0 and y = 0."""
    step = (0.5 * np.pi**2 * BEND / voxels) ** (1 / 3)
    side, height = int(np.ceil((BEND + 1) / step)) + 1, int(np.ceil(1 / step)) + 1
    return _averaged((side, side, 2 * height), step, np.array([0.0, 0.0, -height * step]), _torus)


def stenosis(voxels: int) -> Flow:
    """A tube with 51 % less area at its throat; it leaves the field of view at both ends."""
    volume = 2 * HALF_LENGTH * np.pi * np.mean(np.square(_radius(np.linspace(-HALF_LENGTH, HALF_LENGTH, 1001))[0]))
    step = (volume / voxels) ** (1 / 3)
    half = int(np.ceil((1 + HALF_LENGTH * max(abs(t) for t in TILT[1:])) / step)) + 1
    along = int(HALF_LENGTH / step)
    return _averaged((2 * along, 2 * half, 2 * half), step, -step * np.array([along, half, half], dtype=float), _tube)


def _averaged(
    shape: tuple[int, int, int], step: float, corner: Array, velocity_at: Callable[[Array], tuple[Array, Mask]]
) -> Flow:
    """Means over voxels of side `step`, the first of which has its lowest corner at `corner`."""
    total, filled = np.zeros((*shape, 3)), np.zeros(shape)
    index = np.moveaxis(np.indices(shape), 0, -1)
    for shift in np.ndindex((SUBDIVISION,) * 3):
        place = corner + step * (index + (np.array(shift) + 0.5) / SUBDIVISION)
        velocity, inside = velocity_at(place)
        total += np.where(inside[..., None], velocity, 0.0)
        filled += inside
    mean = total / np.maximum(filled, 1)[..., None]
    flow = Flow(filled / SUBDIVISION**3, mean)
    return flow._replace(velocity=mean / np.linalg.norm(mean[flow.lumen], axis=-1).max())


def _torus(place: Array) -> tuple[Array, Mask]:
    x, y, z = np.moveaxis(place, -1, 0)
    radius = np.maximum(np.hypot(x, y), 1e-9)
    out = radius - BEND
    rest = 1 - out**2 - z**2
    along = rest * (1 + LEAN * out)
    lever = SECONDARY * z + SWIRL
    outward = -(-4 * z * rest * lever + SECONDARY * rest**2) / radius
    upward = -4 * out * rest * lever / radius
    velocity = np.stack([(outward * x - along * y) / radius, (outward * y + along * x) / radius, upward], axis=-1)
    return velocity, rest > 0


def _tube(place: Array) -> tuple[Array, Mask]:
    axis = np.array(TILT) / np.linalg.norm(TILT)
    along = place @ axis
    across = place - along[..., None] * axis
    radius, slope = _radius(along)
    share = np.square(across).sum(axis=-1) / radius**2
    speed = (1 - share) / radius**2
    return speed[..., None] * (axis + (slope / radius)[..., None] * across), share < 1


def _radius(along: Array) -> tuple[Array, Array]:
    """Radius of the tube, and its slope."""
    phase = np.pi * np.clip(along / (0.5 * HALF_LENGTH), -1, 1)
    return 1 - 0.5 * DIP * (1 + np.cos(phase)), 0.5 * DIP * np.sin(phase) * np.pi / (0.5 * HALF_LENGTH)
