"""Closed surfaces for the benchmarks of fields on them, made as `phantoms.surface` makes them."""

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Mesh
from voxfield.phantoms._closed_surfaces import SURFACES

Floats = NDArray[np.float64]


def closed(shape: str, count: int, radius: float = 1.0, seed: int = 0) -> Mesh:
    """A "sphere", "torus" (tube .4 of the radius) or "bumpy" sphere of about `count` vertices."""
    made = SURFACES[shape](count, radius, np.random.default_rng(seed))
    return Mesh(made.vertices, made.triangles)


def tangential(mesh: Mesh, vectors: Floats) -> Floats:
    """Vectors (n, 3) without their parts along the vertex normals."""
    normals = mesh.vertex_normals
    return vectors - (vectors * normals).sum(axis=1, keepdims=True) * normals


def spacing(mesh: Mesh) -> float:
    """Mean length of an edge."""
    ends = mesh.vertices[mesh.edges]
    return float(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).mean())
