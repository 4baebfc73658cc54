"""Both images at one resolution, and how well a displacement explains one by the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from voxfield.fields._lookup import look_up

Floats = NDArray[np.float64]

SMOOTH = 0.6
"""Gaussian before every so many-th voxel is taken, in voxels of the coarser level."""


@dataclass(frozen=True)
class Level:
    """One resolution.

    fixed, moving  (x, y, z)
    gradient       (3, x, y, z) of the moving image along the axes of the grid, per mm
    spacing        (3,) mm
    scale          voxels of the finest level to one of this
    """

    fixed: Floats
    moving: Floats
    gradient: Floats
    spacing: Floats
    scale: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (x, y, z)."""
        x, y, z = self.fixed.shape
        return x, y, z

    def residual(self, displacement: Floats) -> tuple[Floats, Floats]:
        """fixed - moving(x + u) at the voxels (v,), and the gradient of the moving image there (v, 3).

        displacement  (v, 3) mm. Where x + u lies outside the moving image both are 0: nothing is known there.
        """
        place = np.indices(self.shape).reshape(3, -1) + (displacement / self.spacing).T
        values, slopes, within = look_up(self.moving, self.gradient, place)
        return (self.fixed.ravel() - values) * within, slopes * within[:, None]


def make_level(fixed: Floats, moving: Floats, spacing: Floats, scale: int) -> Level:
    """Smooth and thin both images alike; scale 1 leaves them as they are."""
    if scale > 1:
        part = (slice(None, None, scale),) * 3
        fixed, moving = (gaussian_filter(image, SMOOTH * scale, mode="nearest")[part] for image in (fixed, moving))
    wide = spacing * scale
    slopes = [np.gradient(moving, wide[axis], axis=axis) for axis in range(3)]
    return Level(fixed, moving, np.stack(slopes), wide, scale)
