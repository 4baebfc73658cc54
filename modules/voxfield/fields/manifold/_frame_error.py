"""What errors of the tangent frames add: a normal part of the field that a tangent prediction can not have.

Turning a tangent vector v by the angle e in a random direction gives it a normal part of variance e^2 |v|^2 / m. The
angles are those that the patches estimate (see `_patches`), times one factor that makes them agree with the normal
parts of what was observed.
"""

from __future__ import annotations

import numpy as np

from voxfield.fields.manifold._calibrated import calibrated
from voxfield.fields.manifold._patches import Real
from voxfield.fields.manifold._places import Places


def tilt_factor(places: Places, values: Real, noise_variance: float) -> float:
    """Error of the frames over its estimate, by the normal parts of what was observed; 1 where noise hides it."""
    axes, width = places.bases.shape[1:]
    if axes == width or not places.error.any():
        return 0.0
    outside = np.square(values - places.project(values)).sum(axis=1) / (axes - width)
    noise = np.full(len(values), noise_variance)
    return calibrated(outside, np.square(normal_sd(places, values, 1.0)), noise, (0.02, 10.0))


def normal_sd(places: Places, mean: Real, tilt: float) -> Real:
    """(p,) standard deviation of a normal component, from turning the mean with the frame."""
    axes, width = places.bases.shape[1:]
    share = 1 / np.sqrt(width * max(axes - width, 1))
    sd: Real = share * tilt * places.error * np.linalg.norm(mean, axis=1)
    return sd


def draw_tilts(places: Places, mean: Real, tilt: float, noise: Real) -> Real:
    """Normal parts (count, p, a) that errors of the frames add to draws, independent between places."""
    normal = noise - np.einsum("pac,pbc,spb->spa", places.bases, places.bases, noise)
    drawn: Real = normal * normal_sd(places, mean, tilt)[:, None]
    return drawn
