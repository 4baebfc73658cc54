"""Closed surfaces with exact normals, and smooth tangent fields on them.

A field is  v(x) = P(x) sum_k a_k cos(w_k . x + f_k)  with P(x) the projection on the tangent plane: smooth in space,
and no eigenvector of any Laplacian, so that a method that works with these has no advantage on it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
TUBE = 0.4
"""Radius of the tube of a torus over that of its circle."""
BUMPS = 5
BUMP_HEIGHT = 0.09
BUMP_NUMBER = 4.0
"""Waves of a bumpy surface: how many, how high and how steep, over its radius."""
WAVES = 6


class Surface(NamedTuple):
    """A closed surface.

    vertices   (n, 3)
    triangles  (m, 3) counter-clockwise seen from outside
    normals    (n, 3) exact unit normals, outward
    """

    vertices: Floats
    triangles: Ints
    normals: Floats


def sphere(count: int, radius: float, rng: np.random.Generator) -> Surface:
    """A sphere with vertices on a Fibonacci lattice, evenly spread; nothing is drawn from `rng`."""
    del rng
    unit = fibonacci(count)
    return Surface(radius * unit, outward(unit), unit)


def bumpy(count: int, radius: float, rng: np.random.Generator) -> Surface:
    """A sphere whose radius varies smoothly with the direction u, r(u) = R (1 + sum h_k cos(w_k . u + f_k))."""
    unit = fibonacci(count)
    waves = BUMP_NUMBER * _directions(BUMPS, rng)
    phases = rng.uniform(0, 2 * np.pi, BUMPS)
    angle = unit @ waves.T + phases
    distance = 1 + BUMP_HEIGHT * np.cos(angle).sum(axis=1, keepdims=True)
    slope = -BUMP_HEIGHT * np.sin(angle) @ waves
    slope -= (slope * unit).sum(axis=1, keepdims=True) * unit
    # The gradient of |x| - r(x / |x|), of which the surface is the zero set.
    normals = unit - slope / distance
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Surface(radius * distance * unit, outward(unit), normals)


def torus(count: int, radius: float, rng: np.random.Generator) -> Surface:
    """A torus of about `count` vertices; every second row is shifted, so that triangles are nearly equilateral."""
    del rng
    around = 2 * max(3, round(np.sqrt(count * TUBE / np.sqrt(3) * 2) / 2))
    along = max(6, round(count / around))
    row, place = np.divmod(np.arange(around * along), along)
    u = 2 * np.pi * (place + 0.5 * (row % 2)) / along
    v = 2 * np.pi * row / around
    outwards = np.stack([np.cos(u), np.sin(u), np.zeros_like(u)], axis=1)
    normals = np.cos(v)[:, None] * outwards + np.sin(v)[:, None] * np.array([0.0, 0.0, 1.0])
    vertices = radius * (outwards + TUBE * normals)

    def node(rows: Ints, places: Ints) -> Ints:
        return np.asarray(rows % around * along + places % along)

    even = row % 2 == 0
    a, b = node(row, place), node(row, place + 1)
    c, d = node(row + 1, place), node(row + 1, place + 1)
    first = np.where(even[:, None], np.stack([a, b, c], axis=1), np.stack([a, b, d], axis=1))
    second = np.where(even[:, None], np.stack([b, d, c], axis=1), np.stack([a, d, c], axis=1))
    return Surface(vertices, np.concatenate([first, second]), normals)


SURFACES: dict[str, Callable[[int, float, np.random.Generator], Surface]] = {
    "sphere": sphere, "bumpy": bumpy, "torus": torus,
}  # fmt: skip


def fibonacci(count: int) -> Floats:
    """Unit vectors (n, 3) spread evenly over the sphere (Gonzalez, "Measurement of areas on a sphere", 2010)."""
    place = np.arange(count)
    z = 1 - (2 * place + 1) / count
    flat, angle = np.sqrt(1 - z**2), GOLDEN_ANGLE * place
    return np.stack([flat * np.cos(angle), flat * np.sin(angle), z], axis=1)


def outward(unit: Floats) -> Ints:
    """Triangles (m, 3) of the convex hull of unit vectors, counter-clockwise seen from outside."""
    triangles = ConvexHull(unit).simplices.astype(np.int64)
    a, b, c = (unit[triangles[:, corner]] for corner in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return triangles[np.lexsort(triangles.T[::-1])]


def tangent_field(surface: Surface, wavelength: float, rng: np.random.Generator) -> Floats:
    """A smooth tangent field (n, 3) of root mean square 1."""
    waves = 2 * np.pi / wavelength * _directions(WAVES, rng)
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    field = np.cos(surface.vertices @ waves.T + phases) @ rng.standard_normal((WAVES, 3))
    field -= (field * surface.normals).sum(axis=1, keepdims=True) * surface.normals
    return np.asarray(field / np.sqrt(np.square(field).sum(axis=1).mean()))


def _directions(count: int, rng: np.random.Generator) -> Floats:
    """Random unit vectors (count, 3)."""
    drawn = rng.standard_normal((count, 3))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
