"""Both images at one resolution, and how well a displacement explains one by the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter

Floats = NDArray[np.float64]
Bool = NDArray[np.bool_]

SMOOTH = 0.6
"""Gaussian before every so many-th voxel is taken, in voxels of the coarser level."""
CALM = 0.5
"""Gaussian before the gradient is taken, in voxels of the level."""


@dataclass(frozen=True)
class Level:
    """One resolution.

    fixed     (x, y, z)
    moving    (x, y, z) coefficients of the cubic spline through the moving image
    gradient  (3, x, y, z) those of its smoothed gradient along the axes of the grid, per mm
    region    (x, y, z) voxels of the fixed image that are looked at
    spacing   (3,) mm
    scale     voxels of the finest level to one of this
    """

    fixed: Floats
    moving: Floats
    gradient: Floats
    region: Bool
    spacing: Floats
    scale: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (x, y, z)."""
        x, y, z = self.fixed.shape
        return x, y, z

    def residual(self, displacement: Floats) -> tuple[Floats, Floats]:
        """fixed - moving(x + u) at the voxels (v,), and the gradient of the moving image there (v, 3).

        displacement  (v, 3) mm. Outside the region, and where x + u lies outside the moving image, both are 0: nothing
                      is known there.
        """
        place, known = self._places(displacement)
        slopes = [_spline(part, place) for part in self.gradient]
        return (self.fixed.ravel() - _spline(self.moving, place)) * known, np.stack(slopes, axis=1) * known[:, None]

    def noise_left(self, displacement: Floats, rng: np.random.Generator) -> float:
        """Sum of squares of the residual of white noise of variance 1/2 in each image.

        Interpolation takes away noise of high frequencies, so that this is less than the number of voxels looked at.
        """
        place, known = self._places(displacement)
        first, second = np.sqrt(0.5) * rng.standard_normal((2, *self.shape))
        left = (first.ravel() - _spline(spline_filter(second, mode="nearest"), place)) * known
        return float(np.square(left).sum())

    def _places(self, displacement: Floats) -> tuple[Floats, Bool]:
        """Indices x + u (3, v), and whether something is known there."""
        place = np.indices(self.shape).reshape(3, -1) + (displacement / self.spacing).T
        last = np.array(self.shape)[:, None] - 1
        known: Bool = ((place >= 0) & (place <= last)).all(axis=0) & self.region.ravel()
        return place, known


def _spline(coefficients: Floats, place: Floats) -> Floats:
    return np.asarray(map_coordinates(coefficients, place, order=3, mode="nearest", prefilter=False))


def make_level(fixed: Floats, moving: Floats, region: Bool, spacing: Floats, scale: int) -> Level:
    """Smooth and thin both images alike; scale 1 leaves them as they are."""
    if scale > 1:
        part = (slice(None, None, scale),) * 3
        fixed, moving = (gaussian_filter(image, SMOOTH * scale, mode="nearest")[part] for image in (fixed, moving))
        region = region[part]
    wide = spacing * scale
    # Noise in the gradient would pass for structure and tell of displacements: deviations come out a fifth too small.
    calm = gaussian_filter(moving, CALM, mode="nearest")
    slopes = [spline_filter(np.gradient(calm, wide[axis], axis=axis), mode="nearest") for axis in range(3)]
    return Level(fixed, spline_filter(moving, mode="nearest"), np.stack(slopes), region, wide, scale)
