"""Calibration error without bins (Blasiok and Nakkiran, "Smooth ECE", arXiv 2309.12236).

With confidences f_i, right or not y_i, and the Gaussian kernel of standard deviation s reflected at 0 and 1,

    E_s = integral over t in [0, 1] of | 1/n sum_i K_s(t, f_i) (y_i - f_i) |,      error = the s with E_s = s.

E_s never grows with s, so that there is one such s: the error is read at a resolution as coarse as itself. It moves
continuously with the confidences, which a binned error does not, and lies between |mean(y - f)| and the unbinned
error.

The reflected Gaussian is the heat kernel of an insulated rod, diagonal in cosines: its k-th coefficient is damped by
exp(-(pi k s)^2 / 2). The residuals are therefore taken to cosines once, exactly, and every s costs one transform; the
paper evaluates the sum on a grid.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct

Floats = NDArray[np.float64]
TERMS = 512  # resolve an error of .003; smaller ones are below any test set
HALVINGS = 20


def smooth_error(confidence: ArrayLike, right: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """The smooth calibration error.

    confidence  (n,) in 0..1
    right       (n,) bool
    weights     (..., n), by default 1 a row; a leading axis is a set of bootstrap draws
    returns     (...), NaN where there is no weight
    """
    f = np.asarray(confidence, dtype=np.float64)
    given = np.ones(f.size) if weights is None else np.asarray(weights, dtype=np.float64)
    waves = np.cos(np.pi * np.outer(f, np.arange(TERMS)))
    total = given.sum(-1, keepdims=True)
    share = np.divide(given, total, out=np.full_like(given, np.nan), where=total > 0)
    coefficients = (share * (np.asarray(right, dtype=np.float64) - f)) @ waves
    low, high = np.zeros(coefficients.shape[:-1]), np.ones(coefficients.shape[:-1])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = smoothed(coefficients, middle) > middle
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(total[..., 0] > 0, (low + high) / 2, np.nan)


def smoothed(coefficients: Floats, bandwidth: ArrayLike) -> Floats:
    """E_s of residuals with these cosine coefficients (..., TERMS) at a bandwidth s (...)."""
    s = np.asarray(bandwidth, dtype=np.float64)[..., None]
    damping = np.exp(-0.5 * (np.pi * np.arange(TERMS) * s) ** 2)
    return np.asarray(np.abs(dct(coefficients * damping, type=3)).mean(-1))
