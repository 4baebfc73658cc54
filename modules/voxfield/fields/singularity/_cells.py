"""The cells that zeros are counted in, and the zeros of all samples."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError

from voxfield.artifacts import Grid, Mesh
from voxfield.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SLIVER = 1e-9  # area over squared longest side


@dataclass(frozen=True)
class Cells:
    """Triangles of a surface, or cubes between the voxels of a lumen.

    centres      (m, 3) mm
    sizes        (m,) area or volume, mm^2 or mm^3
    pairs        (p, 2) cells that share a side
    conductance  (p,) size of that side over the distance of the centres
    """

    centres: Floats
    sizes: Floats
    pairs: Integers
    conductance: Floats


@dataclass(frozen=True)
class Zeros:
    """Zeros of all samples, one row each.

    sample, cell  (k,)
    index         (k,) Poincaré index
    kind          (k,) what the field does there
    """

    sample: Integers
    cell: Integers
    index: Integers
    kind: Integers


def triangle_cells(mesh: Mesh) -> Cells:
    """The triangles of a manifold mesh."""
    centres = mesh.vertices[mesh.triangles].mean(axis=1)
    edge = mesh.edges_of_triangles.ravel()
    order = np.argsort(edge, kind="stable")
    shared = np.flatnonzero(edge[order][1:] == edge[order][:-1])
    pairs = np.stack([order[shared], order[shared + 1]], axis=1) // 3
    ends = mesh.vertices[mesh.edges[edge[order[shared]]]]
    side = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    return Cells(centres, np.linalg.norm(mesh.area_vectors, axis=1), pairs, _conductance(side, centres, pairs))


def cube_cells(mask: NDArray[np.bool_], grid: Grid) -> tuple[Cells, Integers]:
    """The cubes whose eight corners are voxels of a mask, and the voxel (m, 3) at the lowest corner of each."""
    whole = np.ones([max(n - 1, 0) for n in mask.shape], dtype=bool)
    for corner in np.ndindex(2, 2, 2):
        whole &= mask[tuple(slice(c, c + n) for c, n in zip(corner, whole.shape, strict=True))]
    lowest = np.argwhere(whole)
    centres = grid.world(lowest + 0.5)
    number = np.full(whole.shape, -1)
    number[whole] = np.arange(len(lowest))
    pairs, sides = [], []
    for axis in range(3):
        low, high = (np.moveaxis(number, axis, 0)[part].ravel() for part in (slice(None, -1), slice(1, None)))
        both = (low >= 0) & (high >= 0)
        pairs.append(np.stack([low[both], high[both]], axis=1))
        sides.append(np.full(int(both.sum()), grid.voxel_volume_mm3 / grid.spacing[axis]))
    joined = np.concatenate(pairs)
    sizes = np.full(len(lowest), grid.voxel_volume_mm3)
    return Cells(centres, sizes, joined, _conductance(np.concatenate(sides), centres, joined)), lowest


def planar_mesh(points: Floats, file: Path | None = None) -> Mesh:
    """The Delaunay triangles of points (n, 2), counter-clockwise, in the plane z = 0.

    Raises InputError where there is no triangle, or two points are one.
    """
    try:
        made = Delaunay(points)
    except (QhullError, ValueError):
        raise InputError(
            f"its {len(points)} points span no triangle in the plane; expected an area", file=file
        ) from None
    if len(made.coplanar):
        raise InputError(f"{len(made.coplanar)} of its points coincide with others; give each place once", file=file)
    flat = Mesh(np.pad(points, ((0, 0), (0, 1))), made.simplices)
    area = flat.area_vectors[:, 2]
    longest = (
        np.square(np.diff(flat.vertices[flat.edges], axis=1)).sum(axis=(1, 2))[flat.edges_of_triangles].max(axis=1)
    )
    solid = np.abs(area) > SLIVER * longest  # collinear points of the hull make triangles without area
    corners = np.where(area[:, None] > 0, flat.triangles, flat.triangles[:, ::-1])
    return Mesh(flat.vertices, corners[solid])


def _conductance(side: Floats, centres: Floats, pairs: Integers) -> Floats:
    away = np.linalg.norm(centres[pairs[:, 1]] - centres[pairs[:, 0]], axis=1)
    found: Floats = side / away
    return found
