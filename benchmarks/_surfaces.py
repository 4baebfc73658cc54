"""Surfaces with known shape, for the benchmarks of fields on them."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from voxfield.artifacts import Mesh

Floats = NDArray[np.float64]


def sphere(count: int) -> Mesh:
    """The unit sphere by a Fibonacci spiral of points and their convex hull."""
    place = np.arange(count) + 0.5
    z, angle = 1 - 2 * place / count, np.pi * (1 + np.sqrt(5)) * place
    points = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
    hull = ConvexHull(points)
    faces = points[hull.simplices]
    outward = (np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0]) * hull.equations[:, :3]).sum(axis=1) > 0
    return Mesh(points, np.where(outward[:, None], hull.simplices, hull.simplices[:, ::-1]))


def torus(rows: int, columns: int, ring: float = 2.0, tube: float = 0.8) -> Mesh:
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


def spacing(mesh: Mesh) -> float:
    """Mean length of an edge."""
    ends = mesh.vertices[mesh.edges]
    return float(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).mean())
