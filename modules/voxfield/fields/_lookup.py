"""An image and its gradient at any place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Floats = NDArray[np.float64]


def look_up(image: Floats, gradient: Floats, index: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Values (n,) and gradients (n, 3), linear between voxels, and whether the image reaches there (n,).

    image     (x, y, z); beyond it its edge is repeated
    gradient  (3, x, y, z)
    index     (3, n) voxel indices with fractions
    """
    last = np.array(image.shape)[:, None] - 1
    within = np.asarray(((index >= 0) & (index <= last)).all(axis=0))
    values, *slopes = (map_coordinates(part, index, order=1, mode="nearest") for part in (image, *gradient))
    return values, np.stack(slopes, axis=1), within
