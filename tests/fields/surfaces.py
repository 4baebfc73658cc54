"""Surfaces whose shape and topology are known exactly."""

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Mesh

Floats = NDArray[np.float64]


def sphere(level: int = 3, radius: float = 1.0) -> Mesh:
    """A subdivided octahedron: 4^level * 4 + 2 vertices."""
    corners = np.vstack([np.eye(3), -np.eye(3)])
    faces = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    mesh = Mesh(corners, faces)
    for _ in range(level):
        middles = mesh.vertices[mesh.edges].mean(axis=1)
        vertices = np.vstack([mesh.vertices, middles / np.linalg.norm(middles, axis=1, keepdims=True)])
        a, b, c = mesh.triangles.T
        ab, bc, ca = (mesh.edges_of_triangles + len(mesh.vertices)).T
        split = [[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]
        mesh = Mesh(vertices, np.concatenate([np.stack(part, axis=1) for part in split]))
    return Mesh(mesh.vertices * radius, mesh.triangles)


def torus(rows: int = 40, columns: int = 20, ring: float = 2.0, tube: float = 0.8) -> Mesh:
    """A grid of rows x columns that closes on itself both ways."""
    u, v = np.meshgrid(*(np.arange(n) * 2 * np.pi / n for n in (rows, columns)), indexing="ij")
    away = ring + tube * np.cos(v)
    vertices = np.stack([away * np.cos(u), away * np.sin(u), tube * np.sin(v)], axis=-1).reshape(-1, 3)
    place = np.arange(rows * columns).reshape(rows, columns)
    right, up = np.roll(place, -1, axis=0), np.roll(place, -1, axis=1)
    both = np.roll(right, -1, axis=1)
    squares = [np.stack([place, right, both], -1), np.stack([place, both, up], -1)]
    return Mesh(vertices, np.concatenate([part.reshape(-1, 3) for part in squares]))


def tangential(mesh: Mesh, vectors: Floats) -> Floats:
    """Vectors (n, 3) without their parts along the vertex normals."""
    normals = mesh.vertex_normals
    return vectors - (vectors * normals).sum(axis=1, keepdims=True) * normals
