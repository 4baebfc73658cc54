"""The spectrum of a surface of unit area, and descriptors of its vertices that do not change when it bends.

Heat kernel signature (Sun, Ovsjanikov, Guibas, SGP 2009): sum_k exp(-t lambda_k) phi_k(x)^2 over times between
4 ln 10 / lambda_max and 4 ln 10 / lambda_1. Wave kernel signature (Aubry, Schlickewei, Cremers, ICCVW 2011): the same
sum with exp(-(e - log lambda_k)^2 / 2 sigma^2), normalised, over energies e. The Laplacian is that of the surface as a
domain of fields (`manifold._mesh`), so that maps and Gaussian processes speak of one operator.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.manifold._domain import Domain
from voxfield.fields.manifold._modes import modes

Floats = NDArray[np.float64]
SIGNATURES = 40
BANDS = 7.0  # energies in a standard deviation of the wave kernel's band


@dataclass(frozen=True)
class Basis:
    """Eigenfunctions of the Laplacian of a surface that is scaled to unit area.

    values   (k,) ascending
    vectors  (n, k) orthonormal: vectors.T @ (mass[:, None] * vectors) = 1
    mass     (n,) share of the area at each vertex
    """

    values: Floats
    vectors: Floats
    mass: Floats

    def coefficients(self, functions: Floats) -> Floats:
        """(k, q) of functions (n, q)."""
        found: Floats = self.vectors.T @ (self.mass[:, None] * functions)
        return found


def basis(domain: Domain, count: int) -> Basis:
    """The `count` lowest eigenfunctions of a surface, fewer on a small one."""
    area = float(domain.mass.sum())
    found = modes(domain, count, scalar=True)
    return Basis(found.eigenvalues * area, found.vectors[:, 0], domain.mass / area)


def signatures(surface: Basis) -> Floats:
    """(n, 2 SIGNATURES) heat and wave kernel signatures, each of unit norm over the surface."""
    values, square = surface.values[1:], np.square(surface.vectors[:, 1:])
    times = np.geomspace(4 * np.log(10) / values[-1], 4 * np.log(10) / values[0], SIGNATURES)
    heat = square @ np.exp(-values[:, None] * times)
    logs = np.log(values)
    energies = np.linspace(logs[0], logs[-1], SIGNATURES)
    band = BANDS * (logs[-1] - logs[0]) / SIGNATURES
    weights = np.exp(-0.5 * np.square((energies - logs[:, None]) / band))
    found = np.hstack([heat, square @ (weights / weights.sum(axis=0))])
    normed: Floats = found / np.sqrt(surface.mass @ np.square(found))
    return normed
