"""Test functions with compact support: Wendland's radial polynomials, and points in their balls.

    phi(r) = (1 - r)^(l+2) ((l^2 + 4 l + 3) r^2 + (3 l + 6) r + 3) / 3  for r < 1,  l = floor(d / 2) + 3

is positive definite in up to d dimensions and four times differentiable (Wendland, Advances in Computational
Mathematics 4, 1995, table 9.1); as test functions of weak residuals, Zang and Wang (ParticleWNN, arXiv 2305.12433).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import roots_jacobi

from voxfield.pde.inverse._darcy import Floats

PLANE = 4  # l for two dimensions


class TestBall(NamedTuple):
    """Points (q, 2) of the unit disk, weights (q,) of its mean, and there phi (q,) and its gradient (q, 2)."""

    points: Floats
    weights: Floats
    values: Floats
    gradients: Floats


def wendland(r: Floats) -> Floats:
    """phi at distances r >= 0."""
    power, inside = PLANE, np.maximum(1 - r, 0.0)
    polynomial = (power**2 + 4 * power + 3) * r**2 + (3 * power + 6) * r + 3
    return np.asarray(inside ** (power + 2) * polynomial / 3)


def wendland_over_r(r: Floats) -> Floats:
    """phi'(r) / r, finite at 0, so that the gradient in x is this times x."""
    power, inside = PLANE, np.maximum(1 - r, 0.0)
    factor = (power**2 + 7 * power + 12) / 3
    return np.asarray(-factor * inside ** (power + 1) * (1 + (power + 1) * r))


def unit_ball(rings: int, spokes: int) -> TestBall:
    """Gauss-Jacobi radii, equal angles: exact for degrees below 2 `rings` in r, odd ones too, below `spokes` around.

    Five rings are exact for Wendland's function, and for its gradient with affine fields.
    """
    nodes, weights = roots_jacobi(rings, 0, 1)  # of the weight 1 + t on (-1, 1), which is 2 r
    radii, angles = (nodes + 1) / 2, 2 * np.pi * (np.arange(spokes) + 0.5) / spokes
    r = np.repeat(radii, spokes)
    turns = np.tile(angles, rings)
    points = np.stack([r * np.cos(turns), r * np.sin(turns)], axis=-1)
    share = np.repeat(weights / 2, spokes) / spokes
    return TestBall(points, share, wendland(r), wendland_over_r(r)[:, None] * points)
