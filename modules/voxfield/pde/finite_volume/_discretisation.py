"""The left side of an equation on the cells of a box: a matrix, what the boundary adds, and the nonlinear rest.

Every term is a divergence of something on faces, or a function of the cell itself:

    c u_xx = div(c slope)    div(a grad u) = div(a slope)    c u_x = div(c value)    s (u^p)_x = div(s value^p)

so that what leaves a cell enters its neighbour. Unknowns are in C order of the cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from scipy import sparse

from voxfield.errors import InputError
from voxfield.pde.finite_volume._faces import AffineFaces, CellAxis
from voxfield.pde.problem.operator import Array, Operator

Boundary = Mapping[tuple[int, int], Callable[..., Array]]


@dataclass(frozen=True)
class Discretisation:
    """An operator on the cells of a box. Raises InputError for derivatives that are no part of it.

    operator  over the axes of space, of second order, without mixed derivatives
    axes      of space
    boundary  (axis, 0 low | 1 high) -> its value as a function of the coordinates of space and of `time`
    """

    operator: Operator
    axes: tuple[CellAxis, ...]
    boundary: Boundary

    def __post_init__(self) -> None:
        for term in self.operator.terms:
            if term.coefficient and (sum(term.order) > 2 or np.count_nonzero(term.order) > 1):
                raise InputError(
                    f"the operator has the derivative {term.order} (orders along the axes); finite volumes take first "
                    "and second ones along one axis each: turn the axes so that none is mixed, or solve by collocation"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(axis.count for axis in self.axes)

    @property
    def centres(self) -> tuple[Array, ...]:
        """Open mesh of the cell centres."""
        return np.ix_(*(axis.centres for axis in self.axes))

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """Linear part (n, n)."""
        size = int(np.prod(self.shape))
        own = sum(term.coefficient for term in self.operator.terms if not any(term.order))
        total = sparse.csr_array(sparse.eye_array(size) * complex(own).real)
        for axis, weight, faces in self._parts():
            total = total + self._divergence[axis] @ sparse.diags_array(weight.ravel()) @ self._lift(axis, faces.matrix)
        return sparse.csr_array(total)

    def source(self, *time: float) -> Array:
        """What the boundary values add to the linear part (n,)."""
        total = np.zeros(int(np.prod(self.shape)))
        for axis, weight, faces in self._parts():
            total += self._divergence[axis] @ (weight * self._outer(axis, faces, time)).ravel()
        return total

    def nonlinear(self, u: Array, *time: float) -> Array:
        """Reaction and fluxes (n,)."""
        total = np.zeros_like(u)
        for power, coefficient in self.operator.reaction.items():
            total += coefficient * u**power
        for part in self.operator.flux:
            total += part.coefficient * (
                self._divergence[part.axis] @ self._face_value(u, part.axis, time) ** part.power
            )
        return total

    def slope(self, u: Array, *time: float) -> sparse.csr_array:
        """Derivative of `nonlinear` in u (n, n)."""
        diagonal = np.zeros_like(u)
        for power, coefficient in self.operator.reaction.items():
            diagonal += coefficient * power * u ** (power - 1)
        total = sparse.csr_array(sparse.diags_array(diagonal))
        for part in self.operator.flux:
            outer = part.coefficient * part.power * self._face_value(u, part.axis, time) ** (part.power - 1)
            through = sparse.diags_array(outer) @ self._lift(part.axis, self.axes[part.axis].value.matrix)
            total = total + self._divergence[part.axis] @ through
        return sparse.csr_array(total)

    def _parts(self) -> Iterator[tuple[int, Array, AffineFaces]]:
        """(axis, coefficient on its faces, slope or value there) of every linear term that is a divergence."""
        for axis, cells in enumerate(self.axes):
            shape = tuple(len(cells.faces) if n == axis else other.count for n, other in enumerate(self.axes))
            order = tuple(int(n == axis) for n in range(len(self.axes)))
            for faces, times in ((cells.value, 1), (cells.slope, 2)):
                wanted = tuple(times * n for n in order)
                factor = sum(complex(t.coefficient).real for t in self.operator.terms if t.order == wanted)
                if factor:
                    yield axis, np.full(shape, factor), faces
            if self.operator.conductivity is not None:
                points = [cells.faces if n == axis else other.centres for n, other in enumerate(self.axes)]
                yield axis, self.operator.conductivity(*np.ix_(*points)), cells.slope

    @cached_property
    def _divergence(self) -> list[sparse.csr_array]:
        return [self._lift(number, axis.divergence) for number, axis in enumerate(self.axes)]

    def _lift(self, axis: int, matrix: sparse.csr_array) -> sparse.csr_array:
        """A matrix along one axis as one over all cells."""
        parts = [matrix if n == axis else sparse.eye_array(other.count) for n, other in enumerate(self.axes)]
        return sparse.csr_array(reduce(lambda left, right: sparse.kron(left, right, format="csr"), parts))

    def _outer(self, axis: int, faces: AffineFaces, time: tuple[float, ...]) -> Array:
        """What the boundary values are on the faces normal to an axis, times their weights."""
        cells = self.axes[axis]
        shape = [len(cells.faces) if n == axis else other.count for n, other in enumerate(self.axes)]
        values = np.zeros(shape)
        if cells.ends is None:
            return values
        for end, weight in enumerate((faces.low, faces.high)):
            if weight:
                place = np.array([cells.high if end else cells.low])
                mesh = np.ix_(*(place if n == axis else other.centres for n, other in enumerate(self.axes)))
                known = self.boundary[axis, end](*mesh, *(np.asarray(t) for t in time))
                values[tuple(-end if n == axis else slice(None) for n in range(len(shape)))] = weight * known.squeeze(
                    axis
                )
        return values

    def _face_value(self, u: Array, axis: int, time: tuple[float, ...]) -> Array:
        value = self.axes[axis].value
        return np.asarray(self._lift(axis, value.matrix) @ u + self._outer(axis, value, time).ravel())
