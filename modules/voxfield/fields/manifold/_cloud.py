"""A domain from scattered points on an unknown manifold.

Edges join a point with its nearest neighbours of the same sheet (see `_patches`); an edge needs both ends to agree,
and tangent planes less than 60 degrees apart. Weights are Gaussian with a width that adapts to both ends (Zelnik-Manor
and Perona, NeurIPS 2004), times the areas of both ends, which frees them of the density of the points (Coifman and
Lafon 2006), and scaled so that squared distances have the Laplacian that they have in flat space. RVGP has k = 10
neighbours with weights of 0 and 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from voxfield.errors import InputError
from voxfield.fields.manifold._domain import Domain
from voxfield.fields.manifold._orientation import agreement, orient
from voxfield.fields.manifold._patches import Int, Patches, Real, patches

FEWEST = 16
FLAT = 0.9
"""Least cosine between an edge and the tangent planes of its ends."""
SQUARE = 1e-4
"""Largest error of the products of the axes of a frame that is given."""
STEEP = 0.5
"""Least cosine between the tangent planes of the ends of an edge."""


def from_points(
    points: Real, *, neighbours: int = 12, dimension: int | None = None, frames: Real | None = None
) -> Domain:
    """Domain of points (n, d).

    neighbours  edges that a point begins
    dimension   of the manifold; None: estimated
    frames      (n, d, m) tangent bases, such as from known normals; None: estimated
    """
    count, axes = points.shape
    if count < FEWEST:
        raise InputError(f"{count} points; at least {FEWEST} are needed to tell a manifold")
    if dimension is not None and not 1 <= dimension <= axes:
        raise InputError(f"dimension is {dimension}; expected 1 to {axes}, the axes of the points")
    if frames is not None:
        _require_orthonormal(frames, dimension)
    found = patches(points, dimension, frames)
    edges = _edges(found, neighbours)
    edges = edges[_runs_along(points, found.frames, edges)]
    bases = orient(found.frames, edges)
    weights, mass = _weights(points, edges, found)
    return Domain(points, bases, edges, weights, mass, found.error)


def _require_orthonormal(frames: Real, dimension: int | None) -> None:
    width = frames.shape[2]
    if not width or dimension not in (None, width):
        raise InputError(f"the frames given have {width} axes, the dimension is {dimension or 'at least 1'}; give one")
    error = np.abs(frames.transpose(0, 2, 1) @ frames - np.eye(width)).max(axis=(1, 2))
    if error.max() > SQUARE:
        raise InputError(
            f"the frame of point {int(np.argmax(error))} is not orthonormal; expected tangent vectors of length 1 at "
            "right angles"
        )


def _edges(found: Patches, neighbours: int) -> Int:
    """Pairs i < j of which each takes the other for a point of its sheet, or does not know it."""
    count, width = found.near.shape
    rank = np.cumsum(found.member, axis=1)
    begun = found.member & (rank <= neighbours)
    row = np.repeat(np.arange(count), width)
    column = found.near.ravel()
    shape = (count, count)
    begins = sparse.coo_array((begun.ravel().astype(np.int8), (row, column)), shape=shape).tocsr()
    refuses = sparse.coo_array(((~found.member).ravel().astype(np.int8), (row, column)), shape=shape).tocsr()
    both = begins + begins.T
    refused = refuses + refuses.T
    kept = sparse.triu((both - 4 * both.multiply(refused)) > 0, k=1).tocoo()
    return np.stack([kept.row, kept.col], axis=1).astype(np.int64)


def _runs_along(points: Real, frames: Real, edges: Int) -> NDArray[np.bool_]:
    """Whether an edge runs along the tangent planes of both ends, and these planes agree."""
    along = points[edges[:, 1]] - points[edges[:, 0]]
    length = np.linalg.norm(along, axis=1)
    inside = [np.linalg.norm(np.einsum("ed,edm->em", along, frames[end]), axis=1) for end in edges.T]
    flat: NDArray[np.bool_] = np.minimum(*inside) > FLAT * length
    return flat & (np.abs(agreement(frames, edges)) > STEEP)


def _weights(points: Real, edges: Int, found: Patches) -> tuple[Real, Real]:
    """Weights of the edges and masses of the nodes."""
    i, j = edges.T
    reach = found.spacing
    scale = 2 * reach[i] * reach[j]
    square = np.square(points[i] - points[j]).sum(axis=1)
    kernel = np.exp(-square / scale)
    m = found.frames.shape[2]
    mass = reach**m
    raw = kernel * mass[i] * mass[j]
    # -laplace |x - x_i|^2 = -2 m in flat space, so that sum_j w_ij |x_j - x_i|^2 = 2 m mu_i, here on average over i.
    moment = np.bincount(i, raw * square, len(points)) + np.bincount(j, raw * square, len(points))
    factor = 2 * m * mass.sum() / max(float(moment.sum()), 1e-300)
    return raw * factor, mass
