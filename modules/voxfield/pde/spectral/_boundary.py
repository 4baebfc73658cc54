"""The end nodes of an axis, expressed by its inner ones through the boundary conditions.

The equation is collocated at the inner nodes; at a side with a condition its row takes the place of the equation
(Trefethen, Spectral Methods in MATLAB, 2000, ch. 13). With the rows B u = g split into end and inner nodes, u_end =
B_end^-1 (g - B_inner u_inner), which is put into the equation beforehand: what is left is square, and a sum over axes
wherever the operator is one, so that fast diagonalisation holds for Dirichlet, Neumann and mixed rows alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from scipy import linalg

from voxfield.pde.problem.operator import Array
from voxfield.pde.spectral._equation import Axis, Condition


class Ends:
    """Inner and end nodes of one axis.

    axis        its points
    conditions  by side (0 low, 1 high)
    """

    def __init__(self, axis: Axis, conditions: Mapping[int, Condition]) -> None:
        self.axis = axis
        self.sides = tuple(sorted(conditions))
        self.ends = np.array([axis.count - 1 if side else 0 for side in self.sides], dtype=int)
        self.inner = np.setdiff1d(np.arange(axis.count), self.ends)
        self._rows = self._boundary_rows(conditions)
        self._derivatives: dict[int, Array] = {}

    def derivative(self, order: int) -> Array:
        """Matrix (count, count) of a derivative at all nodes."""
        if order not in self._derivatives:
            self._derivatives[order] = self.axis.matrix(order)
        return self._derivatives[order]

    def reduced(self, order: int) -> Array:
        """Matrix (inner, inner) of a derivative of functions that meet the conditions with data 0."""
        return np.asarray(self.derivative(order)[self.inner] @ self.extension)

    @cached_property
    def extension(self) -> Array:
        """Matrix (count, inner) from inner values to those at all nodes, for data 0."""
        matrix = np.zeros((self.axis.count, len(self.inner)))
        matrix[self.inner] = np.eye(len(self.inner))
        matrix[self.ends] = -self.lift @ self._rows[:, self.inner]
        return matrix

    @cached_property
    def lift(self) -> Array:
        """Matrix (sides, sides) from data to end values, for inner values 0."""
        return np.asarray(linalg.inv(self._rows[:, self.ends])) if len(self.ends) else np.zeros((0, 0))

    def _boundary_rows(self, conditions: Mapping[int, Condition]) -> Array:
        rows = np.zeros((len(self.sides), self.axis.count))
        for row, (side, end) in enumerate(zip(self.sides, self.ends, strict=True)):
            condition = conditions[side]
            rows[row, end] = condition.value
            if condition.slope:
                rows[row] += condition.slope * (1 if side else -1) * self.axis.matrix(1)[end]
        return rows
