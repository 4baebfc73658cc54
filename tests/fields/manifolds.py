"""Manifolds with known normals, and fields on them that no Laplacian has a part in."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sphere(count: int, seed: int = 0) -> Floats:
    """Random points of the unit sphere; they are their own normals."""
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def sheets(count: int, gap: float, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Points of two wavy sheets, their normals, and which sheet (0 or 1); the gap in mean spacings of a sheet."""
    rng = np.random.default_rng(seed)
    x, y = rng.random((2, count))
    which = np.arange(count) % 2
    height = 0.1 * np.sin(2 * np.pi * x) * np.cos(2 * np.pi * y) + which * gap * np.sqrt(2 / count)
    slope_x = 0.2 * np.pi * np.cos(2 * np.pi * x) * np.cos(2 * np.pi * y)
    slope_y = -0.2 * np.pi * np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
    normals = np.stack([-slope_x, -slope_y, np.ones(count)], axis=1)
    return np.stack([x, y, height], 1), normals / np.linalg.norm(normals, axis=1, keepdims=True), which.astype(float)


def tangent(vectors: Floats, normals: Floats) -> Floats:
    """Vectors without their normal parts."""
    return vectors - (vectors * normals).sum(axis=1, keepdims=True) * normals


def waves(points: Floats, normals: Floats, seed: int = 0, scale: float = 1.5) -> Floats:
    """The tangent part of a sum of plane waves."""
    rng = np.random.default_rng(seed)
    angle = points @ (scale * rng.standard_normal((3, 6))) + rng.uniform(0, 2 * np.pi, 6)
    return tangent(np.cos(angle) @ rng.standard_normal((6, 3)), normals)


def relative(found: Floats, truth: Floats) -> float:
    """Relative L2 error."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
