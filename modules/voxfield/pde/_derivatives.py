"""Derivatives of voxel samples inside a lumen by local quadratic fits.

Around every voxel a quadratic polynomial is fitted to the values at those of 33 neighbours (integer offsets of length at
most 2) that lie inside the lumen, by weighted least squares; its coefficients are the derivatives. This is the idea of
Savitzky and Golay (Analytical Chemistry 36, 1964) on a mask: no value outside the lumen is ever used, so derivatives at
the wall are one-sided, and a quadratic field -- Poiseuille flow, whatever the tilt of the tube -- is differentiated
without error up to the wall, wherever the wall passes between the voxels. Gradients are second order accurate, the
Laplacian second order inside and first order at the wall.

What differs from the plain fit: a small ridge on the derivatives, so that voxels with too few neighbours (thin sheets,
branches one voxel wide) fall back to a linear or constant fit instead of failing.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints, Mask, VoxelDomain

REACH = 2
FALLOFF = 1.0  # weight exp(-FALLOFF d^2) at d voxels; chosen on the wedge flow of tests/pde/exact.py
RIDGE = 1e-6


class Derivatives(NamedTuple):
    """Derivatives of c functions at the n unknowns.

    gradient   (n, 3, c)  along the voxel axes, per metre
    laplacian  (n, c)     per square metre
    """

    gradient: Floats
    laplacian: Floats


class LocalFit:
    """The fits of one lumen, set up once for any number of functions."""

    def __init__(self, domain: VoxelDomain) -> None:
        offsets, weighted, _ = _stencil()
        self.spacing = np.array(domain.spacing)
        self.near = np.stack([domain.neighbour(tuple(offset)) for offset in offsets.tolist()], axis=1)
        self.inverse, self.pattern = _inverse_normals(self.near < domain.size)
        self.weighted = weighted

    def derivatives(self, values: Floats) -> Derivatives:
        """Differentiate values (n, c)."""
        padded = np.vstack([values, np.zeros((1, values.shape[1]))])
        moments = self.weighted.T @ padded[self.near]
        terms = (self.inverse[self.pattern] @ moments)[:, 1:7]
        gradient = terms[:, :3] / self.spacing[:, None]
        laplacian = np.einsum("ndc,d->nc", terms[:, 3:], self.spacing**-2.0)
        return Derivatives(gradient, laplacian)


@cache
def _stencil() -> tuple[Ints, Floats, Floats]:
    """Offsets (k, 3); weighted monomials (k, 10); their weighted outer products (k, 100).

    The monomials are 1, the 3 coordinates, the 3 squares / 2 and the 3 products, in voxels.
    """
    side = np.arange(-REACH, REACH + 1)
    offsets = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = offsets[(offsets**2).sum(axis=1) <= REACH**2]
    x, y, z = offsets.T.astype(float)
    monomials = np.stack(
        [np.ones_like(x), x, y, z, x * x / 2, y * y / 2, z * z / 2, x * y, x * z, y * z], axis=1
    )
    weighted = np.exp(-FALLOFF * (offsets**2).sum(axis=1))[:, None] * monomials
    outer = (weighted[:, :, None] * monomials[:, None, :]).reshape(len(offsets), -1)
    return offsets, weighted, outer


def _inverse_normals(inside: Mask) -> tuple[Floats, Ints]:
    """Inverse normal matrices (m, 10, 10) of the m distinct neighbourhoods, and which one each unknown has (n,)."""
    _, _, outer = _stencil()
    keys = inside @ (1 << np.arange(inside.shape[1], dtype=np.int64))
    _, first, pattern = np.unique(keys, return_index=True, return_inverse=True)
    normal = (inside[first].astype(float) @ outer).reshape(-1, 10, 10)
    ridge = RIDGE * np.array([0.0, *[1e-3] * 3, *[1.0] * 6])  # second derivatives give way first
    inverse = np.linalg.inv(normal + np.diag(ridge))
    return inverse, pattern
