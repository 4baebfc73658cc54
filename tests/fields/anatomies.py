"""Smooth random anatomy as a function of world points, to be imaged from anywhere with any contrast."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from voxfield.artifacts import Grid, Image

Floats = NDArray[np.float64]
Anatomy = Callable[[Floats], Floats]


def anatomy(seed: int = 0, *, blobs: int = 40, extent: float = 26.0) -> Anatomy:
    """Sum of Gaussian blobs of 2 to 6 mm in a ball of radius `extent`, mm, about the origin, values of unit size."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-extent, extent, (blobs, 3))
    widths, heights = rng.uniform(2.0, 6.0, blobs), rng.uniform(0.3, 1.0, blobs)

    def values(points: Floats) -> Floats:
        total = np.zeros(points.shape[:-1])
        for centre, width, height in zip(centres, widths, heights, strict=True):
            total += height * np.exp(-np.square(points - centre).sum(axis=-1) / (2 * width**2))
        return total

    return values


def centred_grid(shape: tuple[int, int, int], spacing: float, turn: Floats | None = None) -> Grid:
    """A grid whose middle is the origin of the world."""
    affine = np.eye(4)
    affine[:3, :3] = spacing * (np.eye(3) if turn is None else turn)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def picture(seen: Anatomy, grid: Grid, *, noise: float = 0.0, outliers: float = 0.0, seed: int = 0) -> Image:
    """What a scanner sees of it, with noise and with a share of voxels that show something else."""
    rng = np.random.default_rng(seed)
    values = seen(grid.world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)))
    values = values + noise * rng.standard_normal(values.shape)
    wrong = rng.random(values.shape) < outliers
    values[wrong] = rng.uniform(-1, 3, int(wrong.sum()))
    return Image(values.astype(np.float32), grid.affine)


def motion(turn_deg: Floats, shift_mm: Floats) -> tuple[Floats, Floats]:
    """Rotation (3, 3) from a rotation vector in degrees, and the shift."""
    return Rotation.from_rotvec(np.radians(turn_deg)).as_matrix(), np.asarray(shift_mm, dtype=np.float64)
