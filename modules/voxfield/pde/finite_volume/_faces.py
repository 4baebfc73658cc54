"""One axis of a box cut into cells: values and slopes on its faces from the means in its cells, and what they sum to.

An affine map a face: `matrix @ cells`, plus a weight times the boundary value on the two outer faces. A Dirichlet value
holds on the face, half a cell from the unknown; its slope there is of first order only, and the solution still of
second (supra-convergence, Kreiss et al., Math. Comp. 47, 1986); symmetry is worth more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from voxfield.pde.problem._posed import Kind
from voxfield.pde.problem.operator import Array


@dataclass(frozen=True)
class AffineFaces:
    """matrix (faces, cells), and the weights of the boundary values on the first and the last face."""

    matrix: sparse.csr_array
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class CellAxis:
    """`count` cells on [low, high]; the kinds of its two ends, None where it is periodic."""

    low: float
    high: float
    count: int
    ends: tuple[Kind, Kind] | None

    @property
    def step(self) -> float:
        """Width of a cell."""
        return (self.high - self.low) / self.count

    @cached_property
    def centres(self) -> Array:
        """(count,)."""
        return np.asarray(self.low + (np.arange(self.count) + 0.5) * self.step)

    @cached_property
    def faces(self) -> Array:
        """Coordinates (count + 1,), or (count,) where the last face is the first."""
        faces = np.linspace(self.low, self.high, self.count + 1)
        return faces[:-1] if self.ends is None else faces

    @cached_property
    def divergence(self) -> sparse.csr_array:
        """(cells, faces): difference of what passes the two faces of a cell, over its width."""
        n, out = self.count, 1 / self.step
        if self.ends is None:
            return sparse.csr_array(sparse.diags_array([-out, out, out], offsets=[0, 1, 1 - n], shape=(n, n)))
        return sparse.csr_array(sparse.diags_array([-out, out], offsets=[0, 1], shape=(n, n + 1)))

    @cached_property
    def slope(self) -> AffineFaces:
        """Derivative along the axis on the faces."""
        inner = self._inner(-1.0, 1.0) / self.step
        if self.ends is None:
            return AffineFaces(sparse.csr_array(inner))
        matrix = inner.tolil()
        weights = []
        for face, cell, sign, kind in ((0, 0, 1.0, self.ends[0]), (self.count, self.count - 1, -1.0, self.ends[1])):
            if kind == "dirichlet":
                matrix[face, cell] = sign * 2 / self.step
            weights.append({"dirichlet": -sign * 2 / self.step, "neumann": -sign, "free": 0.0}[kind])
        return AffineFaces(sparse.csr_array(matrix), *weights)

    @cached_property
    def value(self) -> AffineFaces:
        """u itself on the faces."""
        inner = self._inner(0.5, 0.5)
        if self.ends is None:
            return AffineFaces(sparse.csr_array(inner))
        matrix = inner.tolil()
        weights = []
        for face, cell, inside, kind in ((0, 0, 1, self.ends[0]), (self.count, self.count - 1, -2, self.ends[1])):
            if kind == "neumann":
                matrix[face, cell] = 1.0
            if kind == "free":  # extrapolated from the two nearest cells
                matrix[face, cell], matrix[face, inside % self.count] = 1.5, -0.5
            weights.append({"dirichlet": 1.0, "neumann": self.step / 2, "free": 0.0}[kind])
        return AffineFaces(sparse.csr_array(matrix), *weights)

    def _inner(self, before: float, after: float) -> sparse.csr_array:
        """Weights of the cells on both sides of every face; of a box the outer faces stay empty."""
        n = self.count
        if self.ends is None:
            return sparse.csr_array(sparse.diags_array([before, before, after], offsets=[-1, n - 1, 0], shape=(n, n)))
        inner = np.arange(n + 1) % n != 0
        matrix = sparse.diags_array([before, after], offsets=[-1, 0], shape=(n + 1, n))
        return sparse.csr_array(sparse.diags_array(inner.astype(float)) @ matrix)
