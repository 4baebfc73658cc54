"""Both images at one resolution: smoothed alike in mm, the fixed one as values at points, the moving one to be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter

from voxfield.artifacts import Grid
from voxfield.fields._lookup import look_up
from voxfield.fields.alignment._rigid import Rigid

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

EDGES = 0.5
"""Share of the points taken where the fixed image changes most; the others lie evenly, so that no part is left out."""
SPACING = 1.0
"""Distance of points in smoothing lengths: nearer ones tell the same."""


@dataclass(frozen=True)
class Level:
    """One resolution.

    points  (n, 3) mm, world
    values  (n,) the fixed image there
    moving  (x, y, z) the smoothed moving image on `grid`, and its gradient (3, x, y, z) along the world axes, per mm
    """

    points: Floats
    values: Floats
    moving: Floats
    gradient: Floats
    grid: Grid

    def read(self, motion: Rigid) -> tuple[Floats, Floats, Floats, Mask]:
        """The moving image (n,) at the moved points (n, 3), its gradient (n, 3), and whether it reaches there."""
        moved = motion(self.points)
        values, slopes, within = look_up(self.moving, self.gradient, self.grid.index(moved).T)
        return values, slopes, moved, within


@dataclass(frozen=True)
class Picture:
    """An image to be aligned, on its grid; `values` as measured, `clean` without single voxels that stand out."""

    values: Floats
    clean: Floats
    grid: Grid


def take_picture(values: Floats, grid: Grid) -> Picture:
    """Prepare an image (x, y, z)."""
    return Picture(values, median_filter(values, 3, mode="nearest"), grid)


def make_level(fixed: Picture, moving: Picture, smooth_mm: float, most: int, rng: np.random.Generator) -> Level:
    """Smooth by a Gaussian of `smooth_mm`, thin what is then redundant, and choose up to `most` points.

    At 0 mm the fixed image is compared as it was measured: smoothing would spread outliers over their neighbours, where
    no weight can tell them any more. The moving one is smoothed by half a voxel at least, since it is differentiated.
    """
    voxel = float(moving.grid.spacing.max())
    coarse, coarse_grid = _smoothed(moving.clean, moving.grid, max(smooth_mm, voxel / 2))
    still, still_grid = (fixed.values, fixed.grid) if smooth_mm == 0 else _smoothed(fixed.clean, fixed.grid, smooth_mm)
    places = _choose(still, still_grid, most, rng)
    slopes = np.stack([np.gradient(coarse, axis=axis) for axis in range(3)])
    to_world = np.linalg.inv(coarse_grid.affine[:3, :3])
    gradient = np.einsum("ixyz,iw->wxyz", slopes, to_world)
    return Level(still_grid.world(places), still[tuple(places.T)], coarse, gradient, coarse_grid)


def _smoothed(values: Floats, grid: Grid, smooth_mm: float) -> tuple[Floats, Grid]:
    """The image smoothed, on every so many-th voxel."""
    smooth = gaussian_filter(values, smooth_mm / grid.spacing, mode="nearest")
    steps = np.maximum(1, np.floor(SPACING * smooth_mm / grid.spacing)).astype(int)
    steps = np.minimum(steps, np.maximum(1, (np.array(grid.shape) - 1) // 4))
    affine = grid.affine
    affine[:3, :3] *= steps
    thin = smooth[:: steps[0], :: steps[1], :: steps[2]]
    return np.ascontiguousarray(thin), Grid(thin.shape, affine)


def _choose(values: Floats, grid: Grid, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Voxels (n, 3) of the fixed image to compare at."""
    places = np.argwhere(np.ones(values.shape, dtype=bool))
    if len(places) <= most:
        return places
    steep = sum(np.square(np.gradient(values, axis=axis) / grid.spacing[axis]) for axis in range(3))
    order = np.argsort(-np.asarray(steep).ravel(), kind="stable")
    first = int(EDGES * most)
    rest = rng.choice(order[first:], most - first, replace=False)
    return np.asarray(places[np.sort(np.concatenate([order[:first], rest]))])
