"""Cross-sections of a lumen by rays, with sub-voxel walls.

In the plane through a node, perpendicular to the centerline, rays run out until the mask, interpolated
trilinearly, falls through 1/2 (or a probability through the level at which the wall is drawn). The polygon of
the crossings gives area A, centroid and the radius of the
circle of equal area, r = sqrt(A / pi). On exact tubes of 1.5 to 8 voxels radius at random places and
directions this errs by 0.03 to 0.07 voxel (mean absolute, biased low by the same), where the distance
transform errs by a quarter and more. The bias follows the curvature of the wall, `CURVATURE` h^2 / r with h the
edge of a cube of a voxel's volume, on tubes of .75 to 3.5 voxels alike; `without_bias` takes it away, after
which the mean error is below 0.02 voxel. Smoothing the mask first only adds bias. Star-shaped sections are exact
up to sampling; a ray that escapes into a side branch is cut at `ESCAPE` times the median of its section.

In an image of one slice a section is a line: the radius is half its length, and nothing curves that could bias it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from voxfield.frames import tangent_frames
from voxfield.segmentation.tree._skeleton import Floats

ESCAPE = 1.75
CHUNK = 512
CURVATURE = 0.09


class Sections(NamedTuple):
    """Cross-sections at n nodes.

    radius    (n,) of the circle of equal area, in an image of one slice half the width, mm; 0 for a node outside the
              lumen
    centroid  (n, 3) mm
    escaped   (n,) share of the rays that were cut; 1 for a node outside the lumen
    """

    radius: Floats
    centroid: Floats
    escaped: Floats


def cross_sections(
    lumen: NDArray[np.float32],
    spacing: Floats,
    points: Floats,
    tangents: Floats,
    reach: Floats,
    rays: int = 32,
    level: float = 0.5,
) -> Sections:
    """Measure sections.

    lumen     (x, y, z) 0 or 1, or a probability; beyond the field of view the outermost voxels repeat
    points    (n, 3) mm; tangents (n, 3) unit, within the slice where there is one only
    reach     (n,) length of the rays, mm
    level     value at which the wall is drawn
    """
    parts = [
        _measure(lumen, spacing, points[i : i + CHUNK], tangents[i : i + CHUNK], reach[i : i + CHUNK], rays, level)
        for i in range(0, len(points), CHUNK)
    ]
    return Sections(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _measure(
    lumen: NDArray[np.float32],
    spacing: Floats,
    points: Floats,
    tangents: Floats,
    reach: Floats,
    rays: int,
    level: float,
) -> Sections:
    flat = is_flat(lumen.shape)
    direction = _across(tangents, lumen.shape) if flat else _around(tangents, rays)
    distance = _crossings(lumen, spacing, points, direction, reach, level)
    limit = ESCAPE * np.median(distance, axis=1, keepdims=True)
    escaped = np.where(distance.max(axis=1) > 0, (distance > limit).mean(axis=1), 1.0)
    distance = np.minimum(distance, limit)
    corners = distance[..., None] * direction
    if flat:
        return Sections(distance.mean(axis=1), points + corners.mean(axis=1), escaped)
    # The polygon is a fan of triangles around the node.
    following = np.roll(distance, -1, axis=1)
    fan = distance * following * np.sin(2 * np.pi / rays) / 2
    area = fan.sum(axis=1)
    moment = (fan[..., None] * (corners + np.roll(corners, -1, axis=1)) / 3).sum(axis=1)
    safe = np.maximum(area, 1e-12)[:, None]
    return Sections(np.sqrt(area / np.pi), points + moment / safe, escaped)


def is_flat(shape: tuple[int, ...]) -> bool:
    """Whether a volume (x, y, z) is an image of one slice."""
    return min(shape) == 1


def in_field_of_view(index: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of the places (n, 3), in voxels, lie in a voxel of the volume."""
    return np.asarray(((index >= -0.5) & (index <= np.array(shape) - 0.5)).all(axis=1))


def without_bias(radius: Floats, spacing: Floats) -> Floats:
    """Radii (n,) mm, as measured on a mask, without what the curvature of the wall takes; 0 stays 0."""
    edge = float(spacing.prod()) ** (1 / 3)
    return np.asarray(np.where(radius > 0, radius + CURVATURE * edge**2 / np.maximum(radius, edge / 2), 0.0))


def _around(tangents: Floats, rays: int) -> Floats:
    """Directions (n, rays, 3) in the plane of each section."""
    angle = 2 * np.pi * np.arange(rays) / rays
    u, v = np.moveaxis(tangent_frames(tangents), 2, 0)
    return np.asarray(np.cos(angle)[:, None] * u[:, None] + np.sin(angle)[:, None] * v[:, None])


def _across(tangents: Floats, shape: tuple[int, ...]) -> Floats:
    """Directions (n, 2, 3) to both sides, within the slice."""
    side = np.cross(tangents, np.eye(3)[int(np.argmin(shape))])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    return np.stack([side, -side], axis=1)


def _crossings(
    lumen: NDArray[np.float32], spacing: Floats, points: Floats, direction: Floats, reach: Floats, level: float
) -> Floats:
    """Distance (n, rays) at which the interpolated mask first falls through the level."""
    # Half a voxel a step: the interpolated mask is nearly linear over it.
    steps = int(np.ceil(2 * reach.max() / spacing.min()))
    ladder = np.linspace(0, 1, steps + 1) * reach[:, None]
    places = points[:, None, None] + direction[:, :, None] * ladder[:, None, :, None]
    value = map_coordinates(lumen, (places / spacing).reshape(-1, 3).T, order=1, mode="nearest")
    value = value.reshape(places.shape[:3])
    outside = value < level
    outside[..., -1] = True
    last = np.maximum(outside.argmax(axis=2), 1)
    inner = np.take_along_axis(value, last[..., None] - 1, 2)[..., 0]
    outer = np.take_along_axis(value, last[..., None], 2)[..., 0]
    fall = np.where(inner - outer > 0, inner - outer, 1)
    share = np.clip((inner - level) / fall, 0, 1)
    return np.where(outside[..., 0], 0.0, (last - 1 + share) * reach[:, None] / steps)
