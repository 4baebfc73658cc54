"""Tangent frames: two unit vectors at right angles to a given direction and to each other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def tangent_frames(normals: NDArray[np.floating[Any]]) -> Floats:
    """Orthonormal bases (n, 3, 2) of the planes across unit vectors (n, 3), right-handed with them.

    The first axis is square to the coordinate axis that lies farthest from the normal, so that nothing cancels.
    """
    aside = np.eye(3)[np.abs(normals).argmin(axis=1)]
    first = np.cross(normals, aside)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(normals, first)], axis=2)
