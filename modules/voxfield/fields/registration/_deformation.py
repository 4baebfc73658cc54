"""What a displacement does: the warped image, and the determinant of its gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Floats = NDArray[np.float64]


def warped(moving: Floats, displacement: Floats, spacing: Floats) -> Floats:
    """moving(x + u), cubic between voxels; displacement (x, y, z, 3) mm along the axes of the grid."""
    place = np.indices(moving.shape) + np.moveaxis(displacement / spacing, -1, 0)
    return np.asarray(map_coordinates(moving, place, order=3, mode="nearest"))


def determinant(displacement: Floats, spacing: Floats) -> Floats:
    """det(I + grad u) at the voxels (x, y, z): 1 where volume is kept, 0 or less where space folds."""
    gradient = np.stack([np.gradient(displacement, spacing[a], axis=a) for a in range(3)], axis=-1)
    return np.asarray(np.linalg.det(gradient + np.eye(3)))
