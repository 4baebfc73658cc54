"""Gradients of a velocity inside a lumen by local quadratic fits.

Around a target a quadratic polynomial is fitted by weighted least squares to the velocities of the NEIGHBOURS nearest
voxels of the lumen, and to rest at points of the wall where there is no slip (the moving least squares of Lancaster and
Salkauskas, Mathematics of Computation 37, 1981). No value beyond the wall is used, so that gradients at the wall are
one-sided, and the gradient of a quadratic velocity -- Poiseuille flow, rigid rotation -- is exact up to rounding,
whatever the place of the wall between the voxels. Second order accurate for smooth flows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from voxfield.fields._neighbours import nearest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEIGHBOURS = 40
ANCHORS = 12
FALLOFF = 0.5
"""Weight exp(-FALLOFF d^2) of a value at d voxels."""
ANCHORED = 4.0
"""Weight of a point of the wall, whose velocity is known, relative to a voxel at the same distance."""
PRIOR = np.array([0.0, *[1e-10] * 3, *[1e-7] * 6])
"""Precision of a prior around zero: where there is too little for a quadratic, second derivatives give way first."""
CHUNK = 4096


@dataclass(frozen=True)
class Gradient:
    """The linear map from voxel values to gradients at targets.

    near  (p, k)     voxels
    rows  (p, 3, k)  weights, derivatives along the world axes, per metre
    """

    near: Ints
    rows: Floats

    def __call__(self, values: NDArray[np.floating]) -> Floats:
        """(t, p, 3, 3) derivative along axis d of component c, 1/s, of velocities (t, n, 3) in m/s."""
        result = np.empty((len(values), len(self.near), 3, 3))
        for part in chunks(len(self.near)):
            result[:, part] = np.einsum("pdk,tpkc->tpdc", self.rows[part], values[:, self.near[part]])
        return result


def gradient_at(targets: Floats, voxels: Ints, affine: Floats, anchors: Floats | None = None) -> Gradient:
    """Fit around targets.

    targets  (p, 3) voxel indices with fractions
    voxels   (n, 3) of the lumen
    affine   (4, 4) voxel index to world, mm
    anchors  (w, 3) voxel indices with fractions where the velocity is zero
    """
    near = nearest(cKDTree(voxels), targets, min(NEIGHBOURS, len(voxels)))[1]
    walls = np.empty((len(targets), 0), dtype=np.int64)
    if anchors is not None:
        walls = nearest(cKDTree(anchors), targets, min(ANCHORS, len(anchors)))[1]
    to_world = np.linalg.inv(affine[:3, :3] * 1e-3)
    rows = np.empty((len(targets), 3, near.shape[1]))
    for part in chunks(len(targets)):
        terms, weight = _monomials(voxels[near[part]] - targets[part, None])
        weighted = weight[..., None] * terms
        normal = weighted.transpose(0, 2, 1) @ terms + np.diag(PRIOR)
        if anchors is not None:
            fixed, strength = _monomials(anchors[walls[part]] - targets[part, None])
            normal += ANCHORED * (strength[..., None] * fixed).transpose(0, 2, 1) @ fixed
        slopes = np.linalg.solve(normal, weighted.transpose(0, 2, 1))[:, 1:4]
        rows[part] = np.einsum("pik,id->pdk", slopes, to_world)
    return Gradient(near, rows)


def _monomials(offsets: Floats) -> tuple[Floats, Floats]:
    """(p, k, 10) monomials up to second degree of offsets (p, k, 3) in voxels, and weights (p, k)."""
    x, y, z = np.moveaxis(offsets, -1, 0)
    terms = np.stack([np.ones_like(x), x, y, z, x * x / 2, y * y / 2, z * z / 2, x * y, x * z, y * z], axis=-1)
    return terms, np.exp(-FALLOFF * np.square(offsets).sum(axis=-1))


def chunks(size: int) -> Iterator[slice]:
    """Slices that cover `size` targets, since every target brings its neighbours along."""
    return (slice(start, start + CHUNK) for start in range(0, size, CHUNK))
