"""Covariance of a vector field that is the sum of a solenoidal and an irrotational one.

With independent potentials of covariance k, the gradient of one has the covariance -grad grad^T k, the curl of the
other (grad grad^T - I laplace) k (Narcowich and Ward 1994; summed as in the Helmholtz GP of Berlinghieri et al., ICML
2023, arXiv 2302.10364, eq. 7). For radial k, unit variance of a component, r the distance and e the direction,

    irrotational  g I - h e e^T,        solenoidal  g I - h (I - e e^T) / (d - 1).

Potentials are Matern of smoothness nu + 1, which makes g the Matern correlation of smoothness nu and, by
(z^m K_m)' = -z^m K_(m-1), with z = sqrt(2 nu) r / length,

    g = z^nu K_nu(z) / c,   h = z^(nu + 1) K_(nu - 1)(z) / c,   c the limit of z^nu K_nu at 0;

nu = infinity gives g = exp(-r^2 / (2 length^2)), h = g r^2 / length^2. Berlinghieri et al. use the latter; here the
evidence chooses nu.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
SMOOTHNESS = (0.5, 1.5, 2.5, np.inf)


@dataclass(frozen=True)
class Settings:
    """What the evidence chooses.

    smoothness    of the field: one of SMOOTHNESS
    solenoidal    length scale of the part without divergence, unit of the points
    irrotational  of the part without curl
    share         of the variance that is irrotational, 0..1
    noise_ratio   variance of the noise over that of the field
    """

    smoothness: float
    solenoidal: float
    irrotational: float
    share: float
    noise_ratio: float


def covariance(first: Real, second: Real, settings: Settings) -> Real:
    """Covariance of the field between points (..., m, d) and (..., n, d) at unit variance: (..., m, d, n, d)."""
    lag = first[..., :, None, :] - second[..., None, :, :]
    axes = lag.shape[-1]
    square = np.sum(np.square(lag), axis=-1)
    squared_direction = lag[..., :, None] * lag[..., None, :] / np.where(square > 0, square, 1.0)[..., None, None]
    distance, share = np.sqrt(square), settings.share
    g, h = _radial(distance, settings.solenoidal, settings.smoothness)
    f, i = _radial(distance, settings.irrotational, settings.smoothness)
    same = (1 - share) * (g - h / (axes - 1)) + share * f
    along = (1 - share) * h / (axes - 1) - share * i
    full = along[..., None, None] * squared_direction
    diagonal = np.arange(axes)
    full[..., diagonal, diagonal] += same[..., None]
    return np.moveaxis(full, -2, -3)


def _radial(distance: Real, length: float, smoothness: float) -> tuple[Real, Real]:
    """g and h of the module."""
    if np.isinf(smoothness):
        square = np.square(distance / length)
        g = np.exp(-0.5 * square)
        return g, square * g
    z = np.sqrt(2 * smoothness) / length * distance
    decay = np.exp(-z)
    if smoothness == 0.5:
        return decay, z * decay
    if smoothness == 1.5:
        return (1 + z) * decay, np.square(z) * decay
    if smoothness == 2.5:
        return (1 + z + np.square(z) / 3) * decay, np.square(z) * (1 + z) / 3 * decay
    raise ValueError(f"smoothness is {smoothness}; expected one of {SMOOTHNESS}")
