"""What is judged and what it is judged by: settings of prior, noise and wall, and measured voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxfield.fields._prior import Int, Real
from voxfield.fields._walls import Condition

LEAST_FRACTION = 0.05
"""Fraction of a voxel below which its noise grows no more."""
LEAST_SIGNAL = 0.05
"""The same of a magnitude."""


@dataclass(frozen=True)
class Model:
    """What the evidence judges.

    length_mm, smoothness  of the prior
    noise_ratio            variance of the noise over that of the field, in a voxel full of lumen
    partial                exponent of the noise of partly filled voxels
    correlation            of the noise of two components
    condition, level       at the wall, and the level set that is the wall
    wall_ratio             variance with which the condition is observed, over that of the noise
    signal                 exponent of the noise in the magnitude: 1 is what physics says, 0 leaves it out
    """

    length_mm: float
    smoothness: float
    noise_ratio: float
    partial: float = 1.0
    correlation: float = 0.0
    condition: Condition = "none"
    level: float = 0.5
    wall_ratio: float = 0.1
    signal: float = 0.0


@dataclass(frozen=True)
class Measured:
    """Measured voxels in random order.

    voxels    (n, 3) indices in the box
    values    (n, 3, t) along the voxel axes
    fraction  (n,) share of the voxel that the lumen fills
    axes      (3, 3) voxel axes in the world; noise is correlated between world components
    signal    (n,) magnitude over its median, where it was measured: the noise of a phase goes as its inverse
    """

    voxels: Int
    values: Real
    fraction: Real
    axes: Real
    signal: Real | None = None

    def noise(self, model: Model) -> Real:
        """(n, 3, 3) covariance of the noise over the variance of the field."""
        mixing = (1 - model.correlation) * np.eye(3) + model.correlation
        variance = model.noise_ratio * np.maximum(self.fraction, LEAST_FRACTION) ** (-2 * model.partial)
        if self.signal is not None:
            variance = variance * np.maximum(self.signal, LEAST_SIGNAL) ** (-2 * model.signal)
        spread: Real = variance[:, None, None] * (self.axes.T @ mixing @ self.axes)
        return spread
