"""Airway walls around a labelled lumen, thinner than a voxel and broken where airways are small.

Thickness follows t = t_10 (r / r_10)^(3/4), r the radius of the lumen. t_10 is the thickness at an inner
perimeter of 10 mm (r_10 = 10 mm / 2 pi = 1.59 mm), by which CT studies sum up airway walls: 0.44 mm in healthy
people who never smoked, 0.49 mm in smokers (BMC Pulm. Med. 17, 27, 2017). The exponent is ours: it leads from
there to 0.2 mm around a lumen of 1 mm, and to 1.5 mm at the trachea.

A label map says which voxels are lumen, not where in a voxel its surface lies. The surface is taken as the
zero of a smoothed signed distance that keeps its sign at every voxel centre; a voxel holds the share of lumen
and wall that a plane at that distance leaves in it (slab model), so a wall of a third of a voxel has a third of
its contrast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.morphology import skeletonize

from voxfield.phantoms._smooth import SmoothField

Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Real = NDArray[np.floating]
Box = tuple[slice, slice, slice]

PI10_RADIUS_MM = 10 / (2 * np.pi)
EXPONENT = 0.75
MARGIN_MM = 4.0
"""Around the lumen, more than the thickest wall."""
GAP_LENGTH_MM = 2.0
"""Size of the breaks along a wall."""


@dataclass(frozen=True)
class Axis:
    """The lines along the middle of a lumen: voxels (n, 3) of the whole volume, and radii (n,) mm."""

    voxels: NDArray[np.int64]
    radii: Real


@dataclass(frozen=True)
class Wall:
    """Lumen and wall in a box of the volume.

    lumen   (k, a, b)  share of the voxel, 0 to 1
    wall    (k, a, b)  share of the voxel; 0 where the wall is broken
    broken  (k, a, b)  voxels in which a wall should be and is none
    """

    box: Box
    lumen: Float32
    wall: Float32
    broken: Bool


def thickness_mm(radius_mm: Real, at_pi10_mm: float) -> Real:
    """Thickness of the wall around a lumen of the given radius, mm."""
    result: Real = at_pi10_mm * (radius_mm / PI10_RADIUS_MM) ** EXPONENT
    return result


def box_around(mask: Bool, spacing: Real) -> Box:
    """The smallest box around a mask, grown by the margin."""
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    grow = np.ceil(MARGIN_MM / spacing).astype(int)
    return cast(
        Box,
        tuple(slice(max(s.start - g, 0), min(s.stop + g, n)) for s, g, n in zip(found, grow, mask.shape, strict=True)),
    )


def axis_of(airway: Bool, spacing: Real) -> Axis:
    """Skeleton voxels (Lee's thinning) with their radius.

    That is the distance to the nearest voxel centre outside: of all directions the one where that lies nearest to
    the surface decides, which makes up for its lying beyond it.
    """
    box = box_around(airway, spacing)
    inside = np.ascontiguousarray(airway[box])
    voxels = np.argwhere(skeletonize(inside, method="lee"))
    return Axis(voxels + [s.start for s in box], _distance(inside, spacing)[tuple(voxels.T)])


def build_wall(
    airway: Bool,
    axis: Axis,
    spacing: Real,
    *,
    at_pi10_mm: float,
    gap_share: float,
    gap_radius_mm: float,
    rng: np.random.Generator,
) -> Wall:
    """Wall of an airway.

    gap_share      share of the wall that is missing where the radius tends to 0
    gap_radius_mm  radius over which that share falls to 1 / e
    """
    box = box_around(airway, spacing)
    inside = np.ascontiguousarray(airway[box])
    edge = float(spacing.mean())
    level = _level(inside, spacing)
    low = np.array([s.start for s in box])
    near = (level > -edge) & (level < MARGIN_MM)
    voxels = np.argwhere(near)
    radius = _radius_at(voxels, inside, axis, low, spacing)
    thickness = thickness_mm(radius, at_pi10_mm)
    noise = SmoothField.random(rng, inside.shape, spacing, GAP_LENGTH_MM).at(voxels)
    # Ranks make the field uniform, so that it can be compared with a probability.
    rank = np.argsort(np.argsort(noise)) / max(len(noise), 1)
    gap = rank < gap_share * np.exp(-radius / gap_radius_mm)
    distance = level[near]
    lumen = np.clip(0.5 - level / edge, 0, 1)
    reach = np.minimum(distance + edge / 2, thickness) - np.maximum(distance - edge / 2, 0)
    share = np.clip(reach / edge, 0, 1)
    wall, broken = np.zeros_like(lumen), np.zeros(inside.shape, dtype=bool)
    wall[near] = np.where(gap, 0, share)
    broken[near] = gap & (share > 0)
    return Wall(box, lumen, np.minimum(wall, 1 - lumen), broken)


def _distance(mask: Bool, spacing: Real) -> Float32:
    """Distance of the voxels of a mask to the nearest voxel centre outside it, mm."""
    distance: Float32 = edt.edt(np.ascontiguousarray(mask), anisotropy=tuple(float(s) for s in spacing), parallel=1)
    return distance


def _level(mask: Bool, spacing: Real) -> Float32:
    """Signed distance to the surface of a mask, mm, smooth and negative exactly at its voxels."""
    half = np.float32(0.5 * spacing.mean())
    level = np.where(mask, half - _distance(mask, spacing), _distance(~mask, spacing) - half)
    level = ndimage.gaussian_filter(level, 0.7, truncate=3, mode="nearest")
    least = np.float32(0.1 * spacing.min())
    return np.where(mask, np.minimum(level, -least), np.maximum(level, least))


def _radius_at(voxels: NDArray[np.int64], inside: Bool, axis: Axis, low: NDArray[np.int64], spacing: Real) -> Real:
    """Radius of the airway whose lumen is nearest to each voxel (n, 3), mm.

    By way of the nearest lumen voxel: the wall of a wide airway is nearer to the axis of a thin neighbour than to
    its own.
    """
    surface = np.argwhere(inside & ~ndimage.binary_erosion(inside, border_value=1))
    _, nearest = cKDTree((axis.voxels - low) * spacing).query(surface * spacing)
    _, foot = cKDTree(surface * spacing).query(voxels * spacing)
    radius: Real = axis.radii[nearest][foot]
    return radius
