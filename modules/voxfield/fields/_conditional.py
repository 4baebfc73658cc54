"""Weights of what is known on what is sought, for many small sets at once, some of them not full."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


def gains(within: Real, cross: Real, noise: Real, absent: NDArray[np.bool_]) -> Real:
    """(b, t, s) weights of sources on targets, cross (within + noise)^-1, at a prior variance of 1.

    within  (b, s, s) covariance of the sources, overwritten
    cross   (b, t, s) of targets and sources; overwritten by 0 for sources that are none
    noise   (b, s) variance of the noise of the sources
    absent  (b, s) sources that are none: made independent of everything, they weigh 0
    """
    if absent.any():
        within[absent[:, :, None] | absent[:, None, :]] = 0
        cross[np.broadcast_to(absent[:, None, :], cross.shape)] = 0
    diagonal = np.arange(within.shape[1])
    within[:, diagonal, diagonal] = 1 + noise
    return np.asarray(np.linalg.solve(within, cross.transpose(0, 2, 1)).transpose(0, 2, 1), dtype=np.float64)
