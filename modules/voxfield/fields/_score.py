"""How well settings explain the data: the log evidence at the variance of the field that suits them best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """Log evidence of settings at the variance of the field that suits them best (or that the noise fixes)."""

    log_evidence: float
    variance: float


def profiled(square: float, count: int, log_scale: float) -> Score:
    """Score of Gaussian data with the variance profiled out: its estimate is the mean square of what was whitened.

    square     sum of the squares of the whitened data
    count      of the data
    log_scale  half the log determinant of the covariance, over the variance, that whitened them
    """
    variance = max(square / count, 1e-300)
    return Score(float(-0.5 * count * (np.log(2 * np.pi * variance) + 1) - log_scale), variance)
