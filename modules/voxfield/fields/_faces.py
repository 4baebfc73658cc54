"""Face fluxes of a lumen: which faces carry flow, closed walls, and what goes through the openings.

Where the wall lets nothing through, its faces are set to zero and the rest is moved as little as possible (in the sum
of squares) until every cell is free of divergence again: q - D^T (D D^T)^-1 D q over the open faces, the discrete Hodge
projection (Chorin 1968).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from voxfield.fields._prior import Real

Faces = tuple[Real, Real, Real]
Labels = tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]
WALL = 1
NO_FLUID = 0


@dataclass(frozen=True)
class LumenFaces:
    """The faces of a lumen.

    lumen    (x, y, z) bool
    labels   of the faces across x, y, z, as `voxfield.artifacts.face_labels` gives them
    spacing  mm
    """

    lumen: NDArray[np.bool_]
    labels: Labels
    spacing: tuple[float, float, float]

    def take(self, faces: Real) -> Faces:
        """Faces of the lumen out of those of a larger box, (3, *box): (x+1, y, z), (x, y+1, z), (x, y, z+1)."""
        u, v, w = (
            np.where(label != NO_FLUID, face[tuple(slice(0, n) for n in label.shape)], 0.0)
            for label, face in zip(self.labels, faces, strict=True)
        )
        return u, v, w

    def divergence(self, faces: Faces) -> Real:
        """(x, y, z) per mm; 0 outside the lumen."""
        net = np.zeros(self.lumen.shape)
        for axis, face in enumerate(faces):
            net += np.diff(face, axis=axis) / self.spacing[axis]
        return np.where(self.lumen, net, 0.0)

    def close_walls(self, faces: Faces) -> Faces:
        """The nearest fluxes with nothing through the wall and no divergence."""
        closed = [np.where(label == WALL, 0.0, face) for label, face in zip(self.labels, faces, strict=True)]
        operator = self._divergence_matrix()
        flat = np.concatenate([f.ravel() for f in closed])
        solve = self._poisson(operator)
        for _ in range(3):  # rounds of refinement: each takes the divergence that the last one left
            flat = flat - operator.T @ solve(operator @ flat)
        ends = np.cumsum([f.size for f in closed])[:-1]
        u, v, w = (f.reshape(c.shape) for f, c in zip(np.split(flat, ends), closed, strict=True))
        return u, v, w

    def flow(self, faces: Faces, label: int) -> float:
        """Flow out of the lumen through the faces of a label, in the unit of velocity times mm^2."""
        return sum(float(np.sum(part)) for part in self._outward(faces, label))

    def passing(self, faces: Faces, label: int) -> float:
        """Flow through the faces of a label, both directions counted as positive."""
        return sum(float(np.sum(np.abs(part))) for part in self._outward(faces, label))

    def _outward(self, faces: Faces, label: int) -> list[Real]:
        areas = np.prod(self.spacing) / np.array(self.spacing)
        parts = []
        for axis, (face, mark) in enumerate(zip(faces, self.labels, strict=True)):
            padded = np.pad(self.lumen, [(1, 1) if a == axis else (0, 0) for a in range(3)])
            before = np.take(padded, range(mark.shape[axis]), axis=axis)
            parts.append((areas[axis] * np.where(before, face, -face))[mark == label])
        return parts

    def _divergence_matrix(self) -> sparse.csr_matrix:
        """Divergence of the cells of the lumen from the faces that may carry flow, (cells, faces)."""
        number = np.full(self.lumen.shape, -1)
        number[self.lumen] = np.arange(int(self.lumen.sum()))
        rows, columns, values, first = [], [], [], 0
        for axis, label in enumerate(self.labels):
            free = (label != WALL) & (label != NO_FLUID)
            index = first + np.arange(label.size).reshape(label.shape)
            for shift, sign in ((0, -1.0), (1, 1.0)):  # lower and upper face of a cell
                face = tuple(
                    slice(shift, shift + n) if a == axis else slice(None) for a, n in enumerate(self.lumen.shape)
                )
                used = self.lumen & free[face]
                rows.append(number[used])
                columns.append(index[face][used])
                values.append(np.full(len(rows[-1]), sign / self.spacing[axis]))
            first += label.size
        place = (np.concatenate(rows), np.concatenate(columns))
        return sparse.csr_matrix((np.concatenate(values), place), shape=(int(self.lumen.sum()), first))

    def _poisson(self, operator: sparse.csr_matrix) -> _Solver:
        matrix = (operator @ operator.T).tocsr()
        parts, member = connected_components(matrix, directed=False)
        # a part without an opening fixes its potential up to a constant: hold it at one cell
        open_faces = np.abs(operator.T @ np.ones(matrix.shape[0])) > 0  # those that belong to one cell only
        held = np.zeros(parts, dtype=bool)
        held[member[abs(operator) @ open_faces.astype(np.float64) > 0]] = True
        grounded = np.array([np.flatnonzero(member == part)[0] for part in np.flatnonzero(~held)], dtype=np.int64)
        extra = np.zeros(matrix.shape[0])
        extra[grounded] = matrix.diagonal()[grounded]
        return _Solver((matrix + sparse.diags(extra)).tocsr())


class _Solver:
    """Conjugate gradients with an algebraic multigrid preconditioner."""

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        import pyamg

        self._multigrid = pyamg.smoothed_aggregation_solver(matrix, max_coarse=200)

    def __call__(self, right: Real) -> Real:
        if not right.any():
            return right
        solved: Real = self._multigrid.solve(right, tol=1e-13, maxiter=200, accel="cg")
        return solved
