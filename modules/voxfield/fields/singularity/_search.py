"""Zeros of all samples on a surface or in a lumen."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import FieldSamples, Mesh
from voxfield.fields.singularity._cells import Cells, Zeros, cube_cells, triangle_cells
from voxfield.fields.singularity._volume import critical_points
from voxfield.fields.surface._connection import connect
from voxfield.fields.surface._poincare import kinds, poincare_index

Integers = NDArray[np.int64]
Found = tuple[Integers, Integers, Integers]  # cell, index, kind


def on_surface(mesh: Mesh, values: Iterable[NDArray[np.float32]]) -> tuple[Cells, Zeros]:
    """Zeros of vectors (n, 3) at the vertices, one array a sample."""
    connection = connect(mesh)

    def found(vectors: NDArray[np.float32]) -> Found:
        exact = vectors.astype(np.float64)
        index = poincare_index(connection, exact)
        cell = np.flatnonzero(index)
        return cell, index[cell], kinds(mesh, exact, cell, index[cell])

    return triangle_cells(mesh), _gather(found(vectors) for vectors in values)


def in_lumen(samples: FieldSamples) -> tuple[Cells, Integers, list[Zeros]]:
    """Cubes, the voxel (m, 3) at the lowest corner of each, and the zeros of each frame."""
    cells, lowest = cube_cells(samples.mask, samples.grid)
    axes = samples.affine[:3, :3]
    per_sample = []
    for sample in range(len(samples)):
        field, lumen = samples.dense(sample), samples.lumen(sample)
        per_sample.append([critical_points(field[..., t, :], lowest, lumen, axes) for t in range(field.shape[3])])
    return cells, lowest, [_gather(frame) for frame in zip(*per_sample, strict=True)]


def _gather(found: Iterable[Found]) -> Zeros:
    rows = list(found)
    sample = np.repeat(np.arange(len(rows)), [len(cell) for cell, _, _ in rows])
    cell, index, kind = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return Zeros(sample, cell, index, kind)
