"""A domain from a triangle mesh.

Frames are those of jets through the vertices (see `_patches`) that begin at the area-weighted vertex normals, which are
several times less accurate themselves. Edges are those of the triangles with cotangent weights (Pinkall and Polthier
1993), masses are a third of the triangles' areas. Triangles are mollified first: the same small length is added to
every edge until none is degenerate, and negative weights, of obtuse neighbours, are raised to a small positive one
(Sharp and Crane, SGP 2020, flip edges instead), so that the Laplacian is positive semi-definite on any mesh.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from voxfield.artifacts import Mesh
from voxfield.errors import InputError
from voxfield.fields.manifold._domain import Domain
from voxfield.fields.manifold._orientation import orient
from voxfield.fields.manifold._patches import Int, Real, patches
from voxfield.frames import tangent_frames

MOLLIFIED = 1e-3
"""Least excess of two sides of a triangle over the third, in mean edges."""
LEAST_WEIGHT = 1e-3
CREASE = 0.9
"""Cosine between a jet and the vertex normal below which the normal is kept."""


def from_mesh(mesh: Mesh) -> Domain:
    """Domain of the vertices of a mesh; every vertex has to have a triangle."""
    count = len(mesh.vertices)
    alone = np.setdiff1d(np.arange(count), mesh.triangles)
    if len(alone):
        raise InputError(
            f"{len(alone)} of its {count} vertices have no triangle, the first is vertex {alone[0]}; expected a "
            "surface that all vertices belong to",
            file=mesh.file,
        )
    lengths = _mollified(mesh)
    area = _areas(lengths)
    mass = np.bincount(mesh.triangles.ravel(), np.repeat(area / 3, 3), count).astype(np.float64)
    edges, weights = _cotangents(mesh.triangles, lengths, area, count)
    frames, error = _frames(mesh)
    return Domain(mesh.vertices, orient(frames, edges), edges, weights, mass, error)


def _frames(mesh: Mesh) -> tuple[Real, Real]:
    """Tangent bases (n, 3, 2) of jets through the vertices, and their errors (n,), radian.

    A jet begins at the vertex normal, and where it ends far from it, such as at a crease, the normal is kept.
    """
    flat = np.flatnonzero(~mesh.vertex_normals.any(axis=1))
    if len(flat):
        raise InputError(
            f"{len(flat)} of its vertices have no normal, the first is vertex {flat[0]}: the areas of their triangles "
            "cancel or are 0; repair the surface, `voxfield check` tells where",
            file=mesh.file,
        )
    start = tangent_frames(mesh.vertex_normals)
    found = patches(mesh.vertices, 2, start, refine=True)
    cosine = np.abs(np.linalg.det(start.transpose(0, 2, 1) @ found.frames))
    creased = cosine < CREASE
    frames = np.where(creased[:, None, None], start, found.frames)
    return frames, np.where(creased, np.arccos(cosine.clip(max=1)), found.error)


def _mollified(mesh: Mesh) -> Real:
    """(t, 3) lengths of the sides opposite to the three corners."""
    a, b, c = (mesh.vertices[corner] for corner in mesh.triangles.T)
    lengths = np.stack([np.linalg.norm(side, axis=1) for side in (c - b, a - c, b - a)], axis=1)
    excess = lengths.sum(axis=1, keepdims=True) - 2 * lengths
    added: Real = lengths + max(MOLLIFIED * float(lengths.mean()) - float(excess.min()), 0.0)
    return added


def _areas(lengths: Real) -> Real:
    """Heron's formula, (t,)."""
    half = lengths.sum(axis=1) / 2
    area: Real = np.sqrt(half * np.prod(half[:, None] - lengths, axis=1))
    return area


def _cotangents(triangles: Int, lengths: Real, area: Real, count: int) -> tuple[Int, Real]:
    """Edges (e, 2) with half the sum of the cotangents of the angles opposite to them."""
    square = np.square(lengths)
    cotangent = (square.sum(axis=1, keepdims=True) - 2 * square) / (4 * area[:, None])
    ends = np.concatenate([triangles[:, [1, 2]], triangles[:, [2, 0]], triangles[:, [0, 1]]])
    low, high = ends.min(axis=1), ends.max(axis=1)
    summed = sparse.coo_array((0.5 * cotangent.T.ravel(), (low, high)), shape=(count, count)).tocsr().tocoo()
    return np.stack([summed.row, summed.col], axis=1).astype(np.int64), np.maximum(summed.data, LEAST_WEIGHT)
