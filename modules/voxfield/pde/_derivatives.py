"""Derivatives of voxel samples inside a lumen by local quadratic fits.

Around every voxel a quadratic polynomial is fitted to the values at those of 33 neighbours (integer offsets of length
at most 2) that lie inside the lumen, by weighted least squares; its coefficients are the derivatives. This is the idea
of Savitzky and Golay (Analytical Chemistry 36, 1964) on a mask: no value outside the lumen is ever used, so derivatives
at the wall are one-sided, and a quadratic field -- Poiseuille flow, whatever the tilt of the tube -- is differentiated
without error up to the wall, wherever the wall passes between the voxels. Gradients are second order accurate, the
Laplacian second order inside and first order at the wall. A voxel may be trusted less than others (`_confidence`), down
to not at all; its own derivatives are then those of its neighbours' polynomial.

Where there is too little for a quadratic (the outermost voxels of a staircase, thin sheets) a voxel borrows the second
derivatives that its neighbours could determine, by a weak prior on them; a branch one voxel wide falls back to a linear
fit.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxfield.pde._domain import Floats, Ints, VoxelDomain

REACH = 2
FALLOFF = 1.0  # weight exp(-FALLOFF d^2) at d voxels; chosen on the wedge flow of tests/pde/exact.py
PRIOR = np.array([0.0, *[1e-9] * 3, *[1e-6] * 6])  # precision of the prior; second derivatives give way first
BORROWED = 1e-3  # share of the prior in a second derivative above which it counts as borrowed
CHUNK = 1 << 15


class Derivatives(NamedTuple):
    """Derivatives of c functions at the n unknowns.

    gradient   (n, 3, c)  along the voxel axes, per metre
    laplacian  (n, c)     per square metre
    """

    gradient: Floats
    laplacian: Floats


class LocalFit:
    """The fits of one lumen, set up once for any number of functions.

    trust  (n,) weight of each voxel in the fits of its neighbours and its own, 0 to 1; None trusts all alike
    """

    def __init__(self, domain: VoxelDomain, trust: Floats | None = None) -> None:
        offsets, self.weighted, outer = _stencil()
        self.spacing = np.array(domain.spacing)
        self.near = np.stack([domain.neighbour(tuple(offset)) for offset in offsets.tolist()], axis=1)
        self.trust = np.append(np.ones(domain.size) if trust is None else trust, 0.0)
        self.inverse = np.empty((domain.size, 10, 10))
        for part in _chunks(domain.size):
            normal = (self.trust[self.near[part]] @ outer).reshape(-1, 10, 10)
            self.inverse[part] = np.linalg.inv(normal + np.diag(PRIOR))
        share = (PRIOR * np.diagonal(self.inverse, axis1=1, axis2=2)).max(axis=1, initial=0.0)
        self.poor = np.flatnonzero(share > BORROWED)

    def derivatives(self, values: Floats) -> Derivatives:
        """Differentiate values (n, c)."""
        terms = self._fitted(values)
        gradient = terms[:, 1:4] / self.spacing[:, None]
        laplacian = np.einsum("ndc,d->nc", terms[:, 4:7], self.spacing**-2.0)
        return Derivatives(gradient, laplacian)

    def averaged(self, values: Floats) -> Floats:
        """Means over the voxels of functions that have values (n, c) at their centres: + h^2 / 24 d^2 by each axis."""
        return np.asarray(values + self._fitted(values)[:, 4:7].sum(axis=1) / 24)

    def _fitted(self, values: Floats) -> Floats:
        """Coefficients (n, 10, c), second derivatives borrowed where need be."""
        terms = self._coefficients(values)
        if len(self.poor):
            self._borrow(terms)
        return terms

    def _coefficients(self, values: Floats) -> Floats:
        """Coefficients (n, 10, c) of the monomials of `_stencil`."""
        padded = np.vstack([values, np.zeros((1, values.shape[1]))])
        terms = np.empty((len(values), 10, values.shape[1]))
        for part in _chunks(len(values)):
            near = self.near[part]
            terms[part] = self.inverse[part] @ (self.weighted.T @ (self.trust[near, None] * padded[near]))
        return terms

    def _borrow(self, terms: Floats) -> None:
        """Give the poor voxels the second derivatives that their better neighbours have on average."""
        good = np.ones(len(terms) + 1)
        good[-1] = 0.0
        good[self.poor] = 0.0
        share = good[self.near[self.poor]]
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1.0)
        padded = np.concatenate([terms[:, 4:], np.zeros((1, *terms[0, 4:].shape))])
        curvature = np.einsum("pk,pkmc->pmc", share, padded[self.near[self.poor]])
        terms[self.poor] += (self.inverse[self.poor][:, :, 4:] * PRIOR[4:]) @ curvature


@cache
def _stencil() -> tuple[Ints, Floats, Floats]:
    """Offsets (k, 3); weighted monomials (k, 10); their weighted outer products (k, 100).

    The monomials are 1, the 3 coordinates, the 3 squares / 2 and the 3 products, in voxels.
    """
    side = np.arange(-REACH, REACH + 1)
    offsets = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = offsets[(offsets**2).sum(axis=1) <= REACH**2]
    x, y, z = offsets.T.astype(float)
    monomials = np.stack([np.ones_like(x), x, y, z, x * x / 2, y * y / 2, z * z / 2, x * y, x * z, y * z], axis=1)
    weighted = np.exp(-FALLOFF * (offsets**2).sum(axis=1))[:, None] * monomials
    outer = (weighted[:, :, None] * monomials[:, None, :]).reshape(len(offsets), -1)
    return offsets, weighted, outer


def _chunks(size: int) -> Iterator[slice]:
    """Slices that cover `size` voxels, since every voxel brings its whole neighbourhood along."""
    return (slice(start, start + CHUNK) for start in range(0, size, CHUNK))
