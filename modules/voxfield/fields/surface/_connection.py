"""Parallel transport along the edges of a triangle mesh.

The angles around an inner vertex are scaled to sum to 2 pi, so that directions there are plain angles phi (Knöppel,
Crane, Pinkall, Schröder, "Globally optimal direction fields", ACM TOG 32(4), 2013, section 6.1). Transport from i to j
keeps the angle to the edge: rho_ij = phi_ji + pi - phi_ij. What it turns a vector by around a triangle is
Omega = (sum of its scaled angles) - pi, and over a closed surface sum Omega = 2 pi V - pi F = 2 pi chi, whatever the
shape: it is the discrete form of Gauss and Bonnet (Crane, Desbrun, Schröder, "Trivial connections on discrete
surfaces", CGF 29(5), 2010). We take Omega from that formula and not as a principal value, so that the sum is right on
coarse meshes too. Angles at a boundary are left as they are, so that a plane stays flat.

Vectors come in world axes. They are projected on the plane of the vertex normal and their angles there compared with
those of the edges; the one rotation between the two is fitted by least squares.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Mesh
from voxfield.errors import InputError
from voxfield.frames import tangent_frames

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Connection:
    """How tangent vectors compare along edges.

    frames     (n, 3, 2) orthonormal tangent axes of the vertices; angles are counted from the first to the second
    zero       (n,) angle in the frame that counts as phi = 0, radians
    edges      (e, 2) vertices, smaller first
    transport  (e,) what a transport from the first to the second end adds to phi
    sides      (m, 3) edge of each side of the triangles, and `signs` (m, 3): +1 where the side runs like the edge
    curvature  (m,) Omega, radians
    """

    frames: Floats
    zero: Floats
    edges: Integers
    transport: Floats
    sides: Integers
    signs: Integers
    curvature: Floats

    def angles(self, vectors: Floats) -> Floats:
        """(n,) phi of vectors (n, 3) in world axes; their normal parts do not count."""
        x, y = np.einsum("nd,ndk->kn", vectors, self.frames)
        angles: Floats = np.arctan2(y, x) - self.zero
        return angles


def connect(mesh: Mesh) -> Connection:
    """The connection of an oriented manifold mesh; raises InputError for any other."""
    if not len(mesh.triangles):
        raise InputError("has no triangle; expected a surface", file=mesh.file)
    if not (mesh.is_oriented and mesh.is_manifold):
        what = "manifold" if mesh.is_oriented else "oriented"
        raise InputError(f"is not {what}; repair the surface, `voxfield check` tells where", file=mesh.file)
    frames = vertex_frames(mesh)
    scaled = _scaled_angles(mesh)
    first, second = _edge_angles(mesh, scaled)
    corners = mesh.triangles
    zero = _zero(mesh, frames, first, second)
    starts, ends = corners, np.roll(corners, -1, axis=1)
    signs = np.where(starts < ends, 1, -1)
    transport = signs * (np.roll(second, -1, axis=1) + np.pi - first)
    sides = mesh.edges_of_triangles
    of_edge = np.empty(len(mesh.edges))
    of_edge[sides] = transport  # both triangles of an edge say the same up to 2 pi and round-off: one is kept
    return Connection(frames, zero, mesh.edges, of_edge, sides, signs, scaled.sum(axis=1) - np.pi)


def vertex_frames(mesh: Mesh) -> Floats:
    """(n, 3, 2) orthonormal tangent axes, right-handed about the vertex normals; any where no triangle is."""
    normals = mesh.vertex_normals
    return tangent_frames(np.where(normals.any(axis=1, keepdims=True), normals, [0.0, 0.0, 1.0]))


def corner_angles(mesh: Mesh) -> Floats:
    """(m, 3) inner angles of the triangles, radians."""
    place = mesh.vertices[mesh.triangles]
    ahead, behind = np.roll(place, -1, axis=1) - place, np.roll(place, 1, axis=1) - place
    across = np.linalg.norm(np.cross(ahead, behind), axis=-1)
    angles: Floats = np.arctan2(across, (ahead * behind).sum(axis=-1))
    return angles


def _scaled_angles(mesh: Mesh) -> Floats:
    """Inner angles, scaled at vertices that are not on the boundary so that they sum to 2 pi there."""
    angles = corner_angles(mesh)
    total = np.bincount(mesh.triangles.ravel(), angles.ravel(), minlength=len(mesh.vertices))
    scale = 2 * np.pi / np.where(total > 0, total, 1)
    count = np.bincount(mesh.edges_of_triangles.ravel(), minlength=len(mesh.edges))
    scale[mesh.edges[count == 1]] = 1
    scaled: Floats = angles * scale[mesh.triangles]
    return scaled


def _edge_angles(mesh: Mesh, scaled: Floats) -> tuple[Floats, Floats]:
    """(m, 3) phi of the side that leaves each corner, and of the one that comes in, seen from the corner.

    The corners of a vertex are walked counter-clockwise, all vertices at a time; a fan with a boundary starts there.
    """
    corners = mesh.triangles
    follows = _next_corner(corners)
    vertex = corners.ravel()
    start = np.full(len(mesh.vertices), -1)
    start[vertex] = np.arange(vertex.size)
    has_predecessor = np.zeros(vertex.size, dtype=bool)
    has_predecessor[follows[follows >= 0]] = True
    start[vertex[~has_predecessor]] = np.flatnonzero(~has_predecessor)
    first = np.zeros(vertex.size)
    current = start[start >= 0]
    angle = np.zeros(current.size)
    origin = current
    while current.size:
        first[current] = angle
        angle = angle + scaled.ravel()[current]
        current = follows[current]
        goes_on = (current >= 0) & (current != origin)
        current, angle, origin = current[goes_on], angle[goes_on], origin[goes_on]
    leaving = first.reshape(corners.shape)
    return leaving, leaving + scaled


def _next_corner(corners: Integers) -> Integers:
    """(3m,) the corner that follows counter-clockwise at the same vertex, -1 at a boundary."""
    count = int(corners.max()) + 1
    leaving = (corners * count + np.roll(corners, -1, axis=1)).ravel()
    coming = (corners * count + np.roll(corners, 1, axis=1)).ravel()
    order = np.argsort(leaving)
    place = np.minimum(np.searchsorted(leaving, coming, sorter=order), len(order) - 1)
    found = order[place]
    return np.where(leaving[found] == coming, found, -1)


def _zero(mesh: Mesh, frames: Floats, first: Floats, second: Floats) -> Floats:
    """(n,) the rotation between angles in the frame and phi, fitted to all edges of a vertex."""
    corners = mesh.triangles
    turned = np.zeros(len(mesh.vertices), dtype=complex)
    for shift, phi in ((-1, first), (1, second)):
        along = mesh.vertices[np.roll(corners, shift, axis=1)] - mesh.vertices[corners]
        x, y = np.einsum("mcd,mcdk->kmc", along, frames[corners])
        np.add.at(turned, corners, np.exp(1j * (np.arctan2(y, x) - phi)))
    return np.angle(turned)
