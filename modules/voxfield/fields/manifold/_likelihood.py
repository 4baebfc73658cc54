"""Evidence of the settings of a field, in weight space.

With features F and data E whitened by the local part of the kernel and the noise, E = F c + white noise, c ~ N(0, S):

    B = I + R G R = L L^T,  R = sqrt(S),  G = F^T F,  w = L^-1 R F^T E,
    -log p = (M / 2) log(variance) + sum log diag L + sum log sd,    variance = (|E|^2 - |w|^2) / M,

the overall variance being profiled out. G is formed once for a local part; each evaluation costs O(k^3). Gradients
with respect to log S are exact: ((1 - (B^-1)_jj) - c_j^2 / (S_j variance)) / 2.

The local part whitens by Vecchia's factorisation (see `fields._vecchia`): a value is conditioned on its nearest earlier
ones along the domain. In the intrinsic kernel there is no local part; what the truncated spectrum leaves out acts as
variance of each node by itself (as in FITC), so that its share is a lower bound of what could be called noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from voxfield.fields._score import Score, profiled
from voxfield.fields.manifold._patches import Real
from voxfield.fields.manifold._spectrum import Band, Kind, Spectrum

LENGTHS = (0.2, 30.0)
"""Bounds of kappa, over the wave length 1 / sqrt(lambda) of the first oscillating mode."""
SMOOTHNESS = (0.5, 12.0)
SHARE = (1e-6, 1e8)
"""Bounds of the intrinsic variance over that of the local part and the noise."""


@dataclass(frozen=True)
class Whitened:
    """Products of whitened data E (M,) and features F (M, k).

    gram       F^T F
    cross      F^T E
    square     |E|^2
    log_scale  sum of the log standard deviations that whitened, over the M data
    count      M
    """

    gram: Real
    cross: Real
    square: float
    log_scale: float
    count: int


@dataclass(frozen=True)
class Intrinsic:
    """Intrinsic part of a kernel.

    spectrum  its density
    density   (k,) prior variances of the modes, relative to `variance`
    share     variance of a component, relative to `variance`
    tail      variance that the truncated spectrum leaves out, relative to `variance`
    """

    spectrum: Spectrum
    density: Real
    share: float
    tail: float


def score(data: Whitened, density: Real) -> tuple[Score, Real]:
    """Score of prior variances (k,) of the modes, and the gradient of the log evidence by their logs."""
    root = np.sqrt(density)
    matrix = root[:, None] * data.gram * root + np.eye(len(root))
    factor, _ = lapack.dpotrf(matrix, lower=1, clean=1)
    white, _ = lapack.dtrtrs(factor, root * data.cross, lower=1)
    half_logs = float(np.log(np.diag(factor)).sum())
    found = profiled(data.square - float(white @ white), data.count, half_logs + data.log_scale)
    mean, _ = lapack.dtrtrs(factor, white, lower=1, trans=1)
    inverse, _ = lapack.dtrtri(factor, lower=1, overwrite_c=1)
    return found, 0.5 * (np.square(mean) / found.variance - 1 + np.square(inverse).sum(axis=0))


def plain_score(data: Whitened) -> Score:
    """Score without modes: the data are white."""
    return profiled(data.square, data.count, data.log_scale)


def fit_intrinsic(
    data: Whitened, band: Band, kind: Kind, start: Intrinsic | None, *, tail_counts: bool
) -> tuple[Intrinsic, Score]:
    """Share, length and smoothness of the intrinsic part that explain whitened data best (L-BFGS, exact gradients).

    tail_counts  whether the variance beyond the kept modes is part of what whitened (intrinsic kernel)
    """
    first = band.eigenvalues[band.eigenvalues > 1e-6 * band.eigenvalues[-1]][0]
    wave = 1 / np.sqrt(first)
    limits = [tuple(np.log(SHARE)), tuple(np.log(np.array(LENGTHS) * wave)), tuple(np.log(SMOOTHNESS))]

    def intrinsic(place: Real) -> Intrinsic:
        spectrum = Spectrum(kind, float(np.exp(place[1])), float(np.exp(place[2])))
        weights, tail = band.weights(spectrum)
        share = float(np.exp(place[0]))
        if tail_counts:
            share = min(share, (1 - 1e-6) / max(tail, 1e-12))
        return Intrinsic(spectrum, share * weights, share, share * tail)

    def loss(place: Real) -> tuple[float, Real]:
        found = intrinsic(place)
        value, by_density = score(data, np.maximum(found.density, 1e-300))
        slopes = _slopes(lambda p: np.log(np.maximum(intrinsic(p).density, 1e-300)), place)
        return -value.log_evidence, -slopes @ by_density

    origin = np.log([1.0, wave, 2.5])
    if start is not None:
        origin = np.log([start.share, start.spectrum.length, start.spectrum.smoothness])
    origin = np.clip(origin, [low for low, _ in limits], [high for _, high in limits])
    found = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 15, "ftol": 1e-5})
    best = intrinsic(np.asarray(found.x))
    return best, score(data, np.maximum(best.density, 1e-300))[0]


def _slopes(function: Callable[[Real], Real], place: Real, step: float = 1e-5) -> Real:
    """(p, k) forward differences."""
    here = function(place)
    return np.stack([(function(place + step * axis) - here) / step for axis in np.eye(len(place))])
