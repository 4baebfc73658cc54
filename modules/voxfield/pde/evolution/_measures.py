"""What is read off a moment of growth: mass, volume above a threshold, and the speed of its front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats
    from voxfield.pde.evolution._growth import Growth

BAND = 0.5  # half width of the front, as a share of the threshold's distance to 0 or to the highest value


def front_speed(growth: Growth, gradient: Floats, values: Floats, threshold: float) -> float | None:
    """Mean speed, mm/day, at which the surface u = threshold moves outward; None where there is none.

    Volume swept over area, both as integrals over a band about the surface (coarea formula): the sum of w du/dt over
    that of w |grad u|, w falling linearly from the threshold. No difference between outputs is taken.

    gradient  (3, n) of the values, per mm
    """
    width = BAND * min(threshold, float(values.max()) - threshold)
    if width <= 0:
        return None
    weight = np.maximum(0, 1 - np.abs(values - threshold) / width)
    area = float(weight @ np.linalg.norm(gradient, axis=0))
    return float(weight @ growth.rate(values)) / area if area > 0 else None


def ball_radius(volume: float) -> float:
    """Radius of the ball of a volume."""
    return float((3 * volume / (4 * np.pi)) ** (1 / 3))


def lattice_speed(diffusivity: float, proliferation: float, spacing: float) -> float:
    """Speed, mm/day, of a front along a grid line of the discrete equation; 2 sqrt(D rho) as the spacing goes to 0.

    A front is pulled by its tail exp(-k (x - c t)), which the differences carry at c(k) = (rho + 2 D (cosh(k h) - 1)
    / h^2) / k; the front takes the slowest (van Saarloos, Phys. Rep. 386, 2003, section 2).
    """
    k = np.sqrt(proliferation / diffusivity) * np.geomspace(0.1, 2, 2001)
    speeds = (proliferation + 2 * diffusivity * (np.cosh(k * spacing) - 1) / spacing**2) / k
    return float(speeds.min())
