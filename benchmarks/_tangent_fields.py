"""Random points of surfaces, with exact normals and tangent fields, for the benchmark of fields on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfield.phantoms._closed_surfaces import SURFACES, Surface, tangent_field

Floats = NDArray[np.float64]
WAVELENGTH = 2.4
LATTICE = 6
"""Points of the even lattice to one that is drawn from it."""
WAVE_HEIGHT = 0.1


@dataclass(frozen=True)
class Case:
    """Points with exact normals and the true field; `which` of two sheets, 0 on a closed surface."""

    points: Floats
    normals: Floats
    field: Floats
    which: NDArray[np.int64]

    def tangent(self, vectors: Floats) -> Floats:
        """Vectors without their parts along the exact normals."""
        return vectors - (vectors * self.normals).sum(axis=1, keepdims=True) * self.normals


def case(name: str, count: int, seed: int) -> Case:
    """Case of "sphere", "torus", "bumpy", or "sheets" and the gap in mean spacings, such as "sheets 2"."""
    rng = np.random.default_rng([seed, count])
    if name.startswith("sheets"):
        return _sheets(count, float(name.split()[1]), rng)
    whole = SURFACES[name](LATTICE * count, 1.0, rng)
    chosen = rng.choice(len(whole.vertices), count, replace=False)
    part = Surface(whole.vertices[chosen], whole.triangles[:0], whole.normals[chosen])
    return Case(part.vertices, part.normals, tangent_field(part, WAVELENGTH, rng), np.zeros(count, dtype=np.int64))


def _sheets(count: int, gap: float, rng: np.random.Generator) -> Case:
    """Two wavy unit squares, one above the other, with fields that know nothing of each other."""
    which = np.arange(count) % 2
    x, y = rng.random((2, count))
    sine_x, cosine_x, sine_y, cosine_y = (f(2 * np.pi * t) for t in (x, y) for f in (np.sin, np.cos))
    height = WAVE_HEIGHT * sine_x * cosine_y + which * gap * np.sqrt(2 / count)
    slopes = 2 * np.pi * WAVE_HEIGHT * np.stack([-cosine_x * cosine_y, sine_x * sine_y], axis=1)
    normals = np.concatenate([slopes, np.ones((count, 1))], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = np.stack([x, y, height], axis=1)
    surface = Surface(points, np.zeros((0, 3), dtype=np.int64), normals)
    fields = [tangent_field(surface, WAVELENGTH / 3, rng) for _ in range(2)]
    return Case(points, normals, np.where(which[:, None] == 0, *fields), which)
