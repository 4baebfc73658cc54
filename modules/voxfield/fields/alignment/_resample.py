"""Images and vectors carried along by a motion.

The motion takes places of the fixed image to places of the moving one, y = T(x). The aligned image has the value of the
moving one at T(x); a vector v there points along R^T v in the world of the fixed image, R being the rotation of T.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from voxfield.artifacts import Grid
from voxfield.fields.alignment._rigid import Rigid

Floats = NDArray[np.float64]


def resampled(
    values: NDArray[np.floating], grid: Grid, onto: Grid, motion: Rigid, *, beyond: float
) -> NDArray[np.float32]:
    """Values (x, y, z, ...) of the moving grid on the fixed one, linear between voxels, `beyond` outside of it."""
    index = grid.index(motion(onto.world(np.indices(onto.shape).reshape(3, -1).T))).T
    parts = values.reshape(*values.shape[:3], -1)
    result = np.empty((int(np.prod(onto.shape)), parts.shape[3]), dtype=np.float32)
    for place in range(parts.shape[3]):
        result[:, place] = map_coordinates(parts[..., place], index, order=1, mode="constant", cval=beyond)
    return result.reshape(*onto.shape, *values.shape[3:])


def turned(vectors: NDArray[np.floating], motion: Rigid) -> NDArray[np.float32]:
    """Vectors (..., 3) of the moving image along the axes of the fixed one: R^T v."""
    return np.asarray(vectors @ motion.rotation.astype(np.float32), dtype=np.float32)


def moved_affine(affine: Floats, motion: Rigid) -> Floats:
    """The affine of the moving image in the world of the fixed one."""
    return np.asarray(np.linalg.inv(motion.matrix) @ affine)
