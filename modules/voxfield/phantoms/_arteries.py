"""Pulmonary vessels around an airway, for label maps that have none.

An artery runs beside every airway, as wide as the bronchoarterial ratio of healthy people says (lumen over
artery 0.7), and goes on as a twig towards points spread over the lung. There are no veins of their own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from voxfield.phantoms._tubes import draw_tube
from voxfield.phantoms._walls import Axis, thickness_mm

Bool = NDArray[np.bool_]
Real = NDArray[np.floating]

BRONCHUS_OVER_ARTERY = 0.7
WIDEST_MM = 6.0
"""Airways with a larger radius lie in the mediastinum and have no artery beside them."""
LUNG_A_TWIG_ML = 1.5
LONGEST_TWIG_MM = 45.0
TWIG_RADII_MM = (0.9, 0.35)


def draw_vessels(lung: Bool, axis: Axis, spacing: Real, at_pi10_mm: float, rng: np.random.Generator) -> Bool:
    """Vessels of a lung, (k, a, b) bool; the lumen and wall of the airway are not spared.

    lung  (k, a, b)
    """
    mask = np.zeros(lung.shape, dtype=bool)
    middle, radii = _beside(axis, spacing, at_pi10_mm, rng)
    for point, radius in zip(middle, radii, strict=True):
        draw_tube(mask, point[None], np.array([radius]), spacing)
    for points in _twigs(lung, middle, spacing, rng):
        draw_tube(mask, points, np.linspace(*TWIG_RADII_MM, len(points)), spacing)
    mask &= lung
    return mask


def _beside(axis: Axis, spacing: Real, at_pi10_mm: float, rng: np.random.Generator) -> tuple[Real, Real]:
    """Middles (n, 3) and radii (n,) of arteries, mm, one for every point of the airways' axes."""
    thin = axis.radii < min(WIDEST_MM, 0.6 * float(axis.radii.max()))
    if not thin.any():
        return np.zeros((0, 3)), np.zeros(0)
    points, radii = axis.voxels[thin] * spacing, axis.radii[thin]
    side = _sideways(points, rng.standard_normal(3))
    artery = radii / BRONCHUS_OVER_ARTERY
    return points + side * (radii + thickness_mm(radii, at_pi10_mm) + artery)[:, None], artery


def _sideways(points: Real, towards: Real) -> Real:
    """Unit vectors (n, 3) at right angles to the line through each point's neighbours, turned to `towards`."""
    _, near = cKDTree(points).query(points, k=min(9, len(points)))
    around = points[near] - points[near].mean(axis=1, keepdims=True)
    along = np.linalg.svd(around, full_matrices=False)[2][:, 0]
    side = towards - (along @ towards)[:, None] * along
    unit: Real = side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    return unit


def _twigs(lung: Bool, arteries: Real, spacing: Real, rng: np.random.Generator) -> list[Real]:
    """Bent lines from the arteries to points spread over the lung, mm."""
    voxels = np.flatnonzero(lung)
    if not len(voxels) or not len(arteries):
        return []
    volume_ml = len(voxels) * float(np.prod(spacing)) / 1000
    chosen = rng.choice(voxels, size=max(1, round(volume_ml / LUNG_A_TWIG_ML)))
    ends = np.stack(np.unravel_index(chosen, lung.shape), axis=1) * spacing
    distance, nearest = (np.asarray(found) for found in cKDTree(arteries).query(ends))
    t = np.linspace(0, 1, 7)[:, None]
    lines = []
    for end, start, reach in zip(ends, arteries[nearest], distance, strict=True):
        if reach < LONGEST_TWIG_MM:
            bend = 0.12 * reach * rng.standard_normal(3)
            lines.append(start + t * (end - start) + np.sin(np.pi * t) * bend)
    return lines
