"""A synthetic recording: moving sources, sinks and vortices on a head, at the places of sensors."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Mesh
from voxfield.phantoms._closed_surfaces import fibonacci, outward

Floats = NDArray[np.float64]
HALF_AXES_MM = np.array([75.0, 95.0, 85.0])
LOWEST = -0.35
"""Height, over the half axis, below which a head carries no sensors."""
WIDTH_MM = 32.0
CENTRES = 5
VORTICES = (0.3, 0.45)
"""Share of the centres that are vortices, in the two groups; the others are sources and sinks alike."""
WAVE_MM = 260.0


class Head(NamedTuple):
    """Sensors on the upper part of an ellipsoid: their surface, and exact normals (n, 3)."""

    mesh: Mesh
    normals: Floats


def head(sensors: int) -> Head:
    """About as many sensors, evenly spread."""
    unit = fibonacci(round(2 * sensors / (1 - LOWEST)))
    kept = unit[:, 2] > LOWEST
    number = np.cumsum(kept) - 1
    triangles = outward(unit)
    triangles = number[triangles[kept[triangles].all(axis=1)]]
    normals = unit[kept] / HALF_AXES_MM
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Head(Mesh(HALF_AXES_MM * unit[kept], triangles), normals)


def frames(scalp: Head, group: int, count: int, rng: np.random.Generator) -> Floats:
    """Tangent fields (count, n, 3) of a subject, of root mean square 1: centres of activity over a slow wave."""
    return np.stack([_frame(scalp, group, rng) for _ in range(count)])


def _frame(scalp: Head, group: int, rng: np.random.Generator) -> Floats:
    points, normals = scalp.mesh.vertices, scalp.normals
    wave, phase = 2 * np.pi / WAVE_MM * rng.standard_normal(3) / np.sqrt(3), rng.uniform(0, 2 * np.pi)
    field = 0.5 * np.cos(points @ wave + phase)[:, None] * rng.standard_normal(3)
    for centre in points[rng.choice(len(points), CENTRES, replace=False)] + rng.normal(0, 5, (CENTRES, 3)):
        away = points - centre
        weight = rng.uniform(0.7, 1.5) * np.exp(-0.5 * np.square(away).sum(axis=1) / WIDTH_MM**2) / WIDTH_MM
        turned = np.cross(normals, away) if rng.random() < VORTICES[group] else away
        field += rng.choice([-1.0, 1.0]) * 3 * weight[:, None] * turned
    field -= (field * normals).sum(axis=1, keepdims=True) * normals
    return np.asarray(field / np.sqrt(np.square(field).sum(axis=1).mean()))
