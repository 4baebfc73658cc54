"""Straight and narrowed tubes as flow problems, on voxels of edge 1."""

import numpy as np

from voxfield.phantoms._flow import PAD, Problem
from voxfield.phantoms._lattice import Opening, build_lattice


def tube(
    radius: float,
    length: int,
    *,
    tilt: float = 0.0,
    degree: float = 0.0,
    offset: tuple[float, float] = (0.13, 0.37),
    field: int | None = None,
) -> tuple[Problem, np.ndarray, np.ndarray, np.ndarray]:
    """A tube between the planes z = 0 and z = length, with a cosine stenosis of `degree` in the middle.

    tilt     radian, of the axis against z
    field    voxels across the field of view, as few as will do if not given
    returns  the problem; distance from the axis in radii and place along it, on the padded voxels; the axis
    """
    least = 2 * int(np.ceil(radius / np.cos(tilt) + length * np.tan(tilt) / 2 + 1))
    width = (field or least) + 2 * PAD
    x = np.arange(width) + 0.5 - width / 2
    z = np.arange(length + 2 * PAD) + 0.5 - PAD
    grid = np.stack(np.meshgrid(x - offset[0], x - offset[1], z - length / 2, indexing="ij"), axis=-1)
    axis = np.array([np.sin(tilt) * np.cos(0.3), np.sin(tilt) * np.sin(0.3), np.cos(tilt)])
    along = grid @ axis
    distance = np.linalg.norm(grid - along[..., None] * axis, axis=-1)
    bell = np.where(np.abs(along) < 1.5 * radius, 0.5 * (1 + np.cos(np.pi * along / (1.5 * radius))), 0.0)
    local = radius * (1 - degree * bell)
    height = grid[..., 2] + length / 2
    lattice = build_lattice(
        distance - local, Opening(2, PAD, -1, height < 0), (Opening(2, length + PAD, 1, height > length),)
    )
    return Problem(lattice, radius, np.pi * radius**2, (1.0,)), distance / radius, along, axis


def centers(problem: Problem, velocity: np.ndarray) -> np.ndarray:
    """Velocity at voxel centres (nx, ny, nz, 3): means of opposite faces."""
    dense = problem.lattice.scatter(velocity)
    parts = [0.5 * (np.delete(part, 0, axis=axis) + np.delete(part, -1, axis=axis)) for axis, part in enumerate(dense)]
    return np.stack(parts, axis=-1)
