"""The shape of a pair of lungs in a small chest, as one function of place.

Each lung is a superellipsoid, cut from below by the dome of the diaphragm and, on the left, by the heart;
between the lungs lies the mediastinum. Coordinates are millimetres in a box with x to the patient's right,
y to the front and z upwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Real = NDArray[np.float64]

POWER = 2.6
"""Of the superellipsoid: between a ball (2) and a box."""


@dataclass(frozen=True)
class Lungs:
    """A pair of lungs in a box.

    size_mm   (width, depth, height) of the box
    widths    half width of the right and the left lung over the box's width
    dome      height of the diaphragm's dome over the box's height
    heart     radius of the heart over the box's width
    """

    size_mm: tuple[float, float, float]
    widths: tuple[float, float]
    dome: float
    heart: float

    def inside(self, x: Real, y: Real, z: Real, margin_mm: float = 0.0) -> tuple[Bool, Bool]:
        """Which points (broadcast arrays, mm) lie in the right and in the left lung, `margin_mm` from its surface."""
        width, depth, height = self.size_mm
        floor = 0.06 + self.dome * np.exp(-(((y / depth - 0.5) / 0.35) ** 2))
        above = z / height > floor + margin_mm / height
        reach = self.heart * width + margin_mm
        heart = (x - 0.42 * width) ** 2 + (y - 0.62 * depth) ** 2 + (0.7 * (z - 0.34 * height)) ** 2 < reach**2
        right = self._ellipsoid(x, y, z, 0.5 + 0.06 + self.widths[0], self.widths[0], margin_mm)
        left = self._ellipsoid(x, y, z, 0.5 - 0.06 - self.widths[1], self.widths[1], margin_mm)
        return right & above, left & above & ~heart

    def _ellipsoid(self, x: Real, y: Real, z: Real, center: float, half: float, margin_mm: float) -> Bool:
        width, depth, height = self.size_mm
        inside: Bool = (
            np.abs((x - center * width) / (half * width - margin_mm)) ** POWER
            + np.abs((y - 0.48 * depth) / (0.38 * depth - margin_mm)) ** POWER
            + np.abs((z - 0.46 * height) / (0.43 * height - margin_mm)) ** POWER
        ) < 1
        return inside


def sample_lungs(rng: np.random.Generator, size_mm: tuple[float, float, float]) -> Lungs:
    """Lungs of a patient; the right one is the larger."""
    right, left = rng.uniform(0.165, 0.18), rng.uniform(0.15, 0.165)
    return Lungs(size_mm, (float(right), float(left)), float(rng.uniform(0.1, 0.16)), float(rng.uniform(0.1, 0.14)))


def sample_points(rng: np.random.Generator, lungs: Lungs, count: int, margin_mm: float) -> tuple[Real, Real]:
    """About `count` points evenly spread in each lung, (n, 3) mm."""
    points = rng.random((12 * count, 3)) * np.array(lungs.size_mm)
    right, left = lungs.inside(points[:, 0], points[:, 1], points[:, 2], margin_mm)
    return points[right][:count], points[left][:count]
