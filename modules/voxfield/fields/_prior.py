"""A Gaussian-process prior of incompressible velocity, exact on a staggered grid.

The velocity is the curl of a vector potential whose three components are independent Matern fields (the construction
of divergence-free kernels of Narcowich and Ward 1994, Fuselier and Wright 2009), here with the *discrete* curl: the
potential lives on cell edges, the velocity on cell faces, so that the discrete divergence of every draw and of every
posterior mean is zero identically, up to rounding. With angles theta = k h on a periodic box of cells of side h,

    s_a = 2 sin(theta_a / 2) / h_a,   q = |s|^2,   S = (1 + q / kappa^2)^-(nu + 5/2),   kappa^2 = 2 nu / l^2,
    cov(v_a, v_b) at cell centres  <->  M_ab = S (q delta_ab - s_a s_b) cos(theta_a / 2) cos(theta_b / 2)

(the cosines average two faces to the centre between them). In the continuum v has the smoothness of a Matern nu
field. M is scaled to unit mean variance of a component; the variance itself is estimated elsewhere.

A curl on a periodic box has no mean: what flows through a vessel would have to flow back beside it, and the evidence,
which pays for the steep turn at the wall, would place the wall too far out. A uniform velocity U ~ N(0, m I) comes on
top, which is free of divergence too: cov(v_a, v_a) gets m at the frequency 0, `MEAN_VARIANCE` times the scaled M's.

Layout: component a of `faces` at index i is the velocity through the lower face of cell i across axis a.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
Int = NDArray[np.int64]

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
MEAN_VARIANCE = 10.0
"""Of the uniform part of the velocity, over that of a component of the rest: wide, little is known of it."""


@dataclass(frozen=True)
class Box:
    """A periodic box of fine cells, with the measured voxels as every `refine`-th of them.

    shape    cells along x, y, z; multiples of `refine`
    spacing  mm, side of a cell
    refine   fine cells to a measured voxel along an axis
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    refine: int

    @cached_property
    def angles(self) -> tuple[Real, Real, Real]:
        """k h along the three axes, shaped to broadcast over the half spectrum of `rfftn`."""
        x, y, z = self.shape
        full = [2 * np.pi * fft.fftfreq(n) for n in (x, y)] + [2 * np.pi * fft.rfftfreq(z)]
        return full[0][:, None, None], full[1][None, :, None], full[2][None, None, :]

    @property
    def coarse(self) -> tuple[int, int, int]:
        """Measured voxels along the axes."""
        x, y, z = (n // self.refine for n in self.shape)
        return x, y, z


@dataclass(frozen=True)
class Prior:
    """Divergence-free Matern prior of unit variance on a box, around a uniform velocity.

    length_mm   l
    smoothness  nu, infinity for the squared exponential
    """

    box: Box
    length_mm: float
    smoothness: float

    @cached_property
    def _waves(self) -> tuple[Real, Real, Real]:
        x, y, z = (2 * np.sin(a / 2) / h for a, h in zip(self.box.angles, self.box.spacing, strict=True))
        return x, y, z

    @cached_property
    def density(self) -> Real:
        """Spectral density of a component of the potential on the half spectrum, scaled as the module says."""
        x, y, z = self._waves
        q = x * x + y * y + z * z
        if np.isinf(self.smoothness):
            density = np.exp(-0.5 * self.length_mm**2 * q)
        else:
            kappa2 = 2 * self.smoothness / self.length_mm**2
            density = np.exp(-(self.smoothness + 2.5) * np.log1p(q / kappa2))
        cosines = [np.square(np.cos(a / 2)) for a in self.box.angles]
        trace = sum(
            (q - w * w) * c for w, c in zip(self._waves, cosines, strict=True)
        )  # sum of the three diagonal entries of M / S
        weight = np.full(density.shape[2], 2.0)  # the half spectrum stands for both signs of k_z
        weight[0] = 1.0
        if self.box.shape[2] % 2 == 0:
            weight[-1] = 1.0
        variance = float(np.sum(density * trace * weight)) / (3 * np.prod(self.box.shape))
        scaled: Real = density / variance
        return scaled

    def spectrum(self, a: int, b: int) -> Real:
        """M_ab on the half spectrum: covariance of the components a and b at cell centres."""
        waves, angles = self._waves, self.box.angles
        cosines = np.cos(angles[a] / 2) * np.cos(angles[b] / 2)
        product = -waves[a] * waves[b]
        if a == b:
            product = product + sum(w * w for w in waves)
        spectrum: Real = self.density * (product * cosines)
        if a == b:
            spectrum[0, 0, 0] = MEAN_VARIANCE * np.prod(self.box.shape)
        return spectrum

    def draw(self, rng: np.random.Generator) -> Real:
        """One draw of the face velocities, (3, *shape), divergence-free."""
        root = np.sqrt(self.density)
        noise = (rng.standard_normal(self.box.shape) for _ in range(3))
        mean: Real = np.sqrt(MEAN_VARIANCE) * rng.standard_normal((3, 1, 1, 1))
        return mean + self.curl(np.stack([self._filter(n, root) for n in noise]))

    def smooth(self, centres: Real) -> Real:
        """Prior covariance between faces and centres, applied to weights (3, *shape) at the centres.

        returns  face velocities (3, *shape), divergence-free
        """
        faces = np.stack([(g + np.roll(g, 1, axis)) / 2 for axis, g in enumerate(centres)])
        potential = self._curl_transposed(faces)
        mean: Real = MEAN_VARIANCE * centres.sum(axis=(1, 2, 3), keepdims=True)
        return mean + self.curl(np.stack([self._filter(p, self.density) for p in potential]))

    def curl(self, potential: Real) -> Real:
        """Discrete curl of edge values (3, *shape): face velocities (3, *shape)."""
        return np.stack([self._ahead(potential[c], b) - self._ahead(potential[b], c) for _, b, c in _CYCLES])

    def _curl_transposed(self, faces: Real) -> Real:
        return np.stack([self._behind(faces[b], c) - self._behind(faces[c], b) for _, b, c in _CYCLES])

    def _ahead(self, field: Real, axis: int) -> Real:
        return (np.roll(field, -1, axis) - field) / self.box.spacing[axis]

    def _behind(self, field: Real, axis: int) -> Real:
        """The transpose of `_ahead`."""
        return (np.roll(field, 1, axis) - field) / self.box.spacing[axis]

    def _filter(self, field: Real, transfer: Real) -> Real:
        filtered: Real = fft.irfftn(fft.rfftn(field) * transfer, self.box.shape)
        return filtered


_CYCLES = ((0, 1, 2), (1, 2, 0), (2, 0, 1))


def centred(faces: Real) -> Real:
    """Mean of the two faces of every cell, (3, *shape)."""
    return np.stack([(f + np.roll(f, -1, axis)) / 2 for axis, f in enumerate(faces)])


def divergence(faces: Real, spacing: tuple[float, float, float]) -> Real:
    """Net outflow of the cells over their volume, (*shape), per mm."""
    parts = [(np.roll(f, -1, axis) - f) / spacing[axis] for axis, f in enumerate(faces)]
    net: Real = parts[0] + parts[1] + parts[2]
    return net
