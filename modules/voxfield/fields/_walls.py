"""The wall of a lumen at sub-voxel place, and what is known of the velocity there.

The wall is the level set `probability = level`, met on the links between a cell inside and its neighbour outside: with
p linear along the link, at the fraction (p_inside - level) / (p_inside - p_outside). Caps of openings are no wall.
Points are thinned to one per block of THINNING measured voxels a side: what a wall says reaches farther than that, and
more points only slow the solver down (same error on phantoms, half the iterations).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from voxfield.artifacts import face_labels
from voxfield.fields._prior import Int, Real

Condition = Literal["none", "no-penetration", "no-slip"]

WALL = 1
THINNING = 2
FREE = 30.0
"""Variance of a component that a condition leaves free, in units of the prior's."""


@dataclass(frozen=True)
class WallPoints:
    """Points of the wall, in fine cells of the grid given.

    inside, outside  (w, 3) the two cells of a link
    share            (w,) place of the wall between them
    normal           (w, 3) unit normals, voxel axes
    """

    inside: Int
    outside: Int
    share: Real
    normal: Real


def wall_points(
    probability: Real,
    level: float,
    lumen: NDArray[np.bool_],
    openings: NDArray[np.integer],
    *,
    spacing: tuple[float, float, float],
    refine: int,
) -> WallPoints:
    """Find the wall.

    probability  (x, y, z) on the fine grid
    level        of the level set
    lumen        (x, y, z) cells inside: above the level, and cut by the caps
    openings     (x, y, z) labels, caps k >= 2
    spacing      mm
    refine       fine cells to a measured voxel, along an axis
    """
    labels = face_labels(lumen, openings)
    inside, outside = (np.concatenate(part) for part in zip(*map(_links, range(3), labels, [lumen] * 3), strict=True))
    high, low = probability[tuple(inside.T)], probability[tuple(outside.T)]
    crosses = (high > level) & (low < level)
    share = np.where(crosses, (high - level) / np.where(crosses, high - low, 1.0), 0.5)
    block = np.unique((inside // (THINNING * refine)) @ _strides(probability.shape), return_index=True)[1]
    inside, outside, share = inside[block], outside[block], np.clip(share[block], 0.02, 0.98)
    return WallPoints(inside, outside, share, _normals(probability, inside, outside, spacing))


def wall_noise(condition: Condition, normal: Real, variance: float) -> Real:
    """Covariance of the noise with which a condition is observed, (w, 3, 3), in units of the prior's variance."""
    if condition == "no-slip":
        return np.broadcast_to(variance * np.eye(3), (len(normal), 3, 3)).copy()
    along = normal[:, :, None] * normal[:, None, :]
    return variance * along + FREE * (np.eye(3) - along)


def _links(axis: int, labels: NDArray[np.int16], lumen: NDArray[np.bool_]) -> tuple[Int, Int]:
    """Cells inside and outside of the wall faces across an axis, edges of the grid left out."""
    faces = np.argwhere(labels == WALL)
    faces = faces[(faces[:, axis] > 0) & (faces[:, axis] < lumen.shape[axis])]
    step = np.arange(3, dtype=np.int64) == axis
    upper_is_inside = lumen[tuple(faces.T)][:, None]
    return np.where(upper_is_inside, faces, faces - step), np.where(upper_is_inside, faces - step, faces)


def _strides(shape: tuple[int, ...]) -> Int:
    return np.array([shape[1] * shape[2], shape[2], 1], dtype=np.int64)


def _normals(probability: Real, inside: Int, outside: Int, spacing: tuple[float, float, float]) -> Real:
    """Outward normals from the smoothed probability; where it is flat, the direction of the link."""
    smooth = gaussian_filter(probability, 1.0, mode="nearest")
    gradient = [np.asarray(np.gradient(smooth, h, axis=axis)) for axis, h in enumerate(spacing)]
    slopes = np.stack([g[tuple(inside.T)] + g[tuple(outside.T)] for g in gradient], axis=1)
    length = np.linalg.norm(slopes, axis=1, keepdims=True)
    normal: Real = np.where(length > 1e-9, -slopes / np.maximum(length, 1e-9), (outside - inside).astype(float))
    return normal
