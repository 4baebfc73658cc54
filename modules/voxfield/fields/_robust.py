"""Robust scale and weights: the median absolute deviation and Tukey's biweight (Huber, Robust Statistics, 1981)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAD = 1.4826
"""Median absolute deviation to standard deviation, of a normal distribution."""
TUKEY = 4.685
"""Residual in standard deviations at which the biweight reaches zero; 95 % efficient for normal errors."""


def biweight(residual: Floats, spread: float) -> Floats:
    """Weights (n,) of residuals with a standard deviation: 1 at 0, 0 for an outlier."""
    return np.asarray(np.square(np.maximum(1 - np.square(residual / (TUKEY * spread)), 0.0)))
