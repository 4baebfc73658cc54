"""The Poincaré index of a tangent field in the triangles of a mesh, and the kind of each zero.

In a triangle the field turns by the sum of its turns along the sides, each taken as the shorter way round against the
transported vector, plus the curvature of the triangle: index = (sum omega + Omega) / 2 pi, a whole number (Knöppel et
al. 2013, section 6.3). The turn of a side is computed once for both its triangles, so that over a closed surface the
turns cancel exactly and the indices sum to the Euler characteristic for *every* field. A single flat triangle holds
-1, 0 or 1; a zero of a higher order, such as a monkey saddle (-2), lies in several neighbours.

A zero of negative index is a saddle. One of positive index is a vortex where the curl of the linear interpolant exceeds
its divergence in size, otherwise a source or sink by the sign of the divergence.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Mesh
from voxfield.fields.surface._connection import Connection

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Kind(IntEnum):
    """What a field does around one of its zeros."""

    SOURCE = 0
    SINK = 1
    VORTEX = 2
    SADDLE = 3


PLURALS = {Kind.SOURCE: "sources", Kind.SINK: "sinks", Kind.VORTEX: "vortices", Kind.SADDLE: "saddles"}


def poincare_index(connection: Connection, vectors: Floats) -> Integers:
    """(m,) index of the triangles for vectors (n, 3) at the vertices, world axes."""
    phi = connection.angles(vectors)
    start, end = connection.edges.T
    turn = phi[end] - phi[start] - connection.transport
    turn -= 2 * np.pi * np.round(turn / (2 * np.pi))
    around = (turn[connection.sides] * connection.signs).sum(axis=1) + connection.curvature
    index: Integers = np.rint(around / (2 * np.pi)).astype(np.int64)
    return index


def kinds(mesh: Mesh, vectors: Floats, triangles: Integers, index: Integers) -> Integers:
    """(k,) the `Kind` of the zeros in some triangles, which have the given indices, none of them 0."""
    jacobian = _jacobian(mesh, vectors, triangles)
    divergence = jacobian[:, 0, 0] + jacobian[:, 1, 1]
    curl = jacobian[:, 1, 0] - jacobian[:, 0, 1]
    radial = np.where(divergence > 0, Kind.SOURCE, Kind.SINK)
    return np.where(index < 0, Kind.SADDLE, np.where(np.abs(curl) > np.abs(divergence), Kind.VORTEX, radial))


def _jacobian(mesh: Mesh, vectors: Floats, triangles: Integers) -> Floats:
    """(k, 2, 2) derivative of the linear interpolant in axes of each triangle's plane.

    Vectors are turned from the planes of their vertices into that of the triangle, about the line where the two meet.
    """
    corners = mesh.triangles[triangles]
    normal = mesh.area_vectors[triangles]
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    along = mesh.vertices[corners[:, 1]] - mesh.vertices[corners[:, 0]]
    first = along / np.linalg.norm(along, axis=1, keepdims=True)
    axes = np.stack([first, np.cross(normal, first)], axis=1)
    here = mesh.vertex_normals[corners]
    given = vectors[corners] - (vectors[corners] * here).sum(axis=-1, keepdims=True) * here
    middle = here + normal[:, None]
    fall = (given * normal[:, None]).sum(-1) / np.maximum((here * normal[:, None]).sum(-1) + 1, 1e-6)
    turned = given - fall[..., None] * middle
    values = np.einsum("kad,kcd->kac", axes, turned)
    places = np.einsum("kad,kcd->kac", axes, mesh.vertices[corners])
    jacobian: Floats = (values[:, :, 1:] - values[:, :, :1]) @ np.linalg.inv(places[:, :, 1:] - places[:, :, :1])
    return jacobian
