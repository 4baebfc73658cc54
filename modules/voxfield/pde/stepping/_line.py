"""An equation in time and one bounded axis, as ordinary differential equations of the inner nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from voxfield.pde.problem.operator import Array, Operator, Order
from voxfield.pde.spectral import Chebyshev, Condition
from voxfield.pde.spectral._boundary import Ends
from voxfield.pde.spectral._equation import Function, evaluate


@dataclass(frozen=True)
class Line:
    """c u_t + S(u) = f collocated on one axis; the end values follow from the conditions.

    operator    left side, over the axis and time
    conditions  by side (0 low, 1 high), data as functions of the coordinate and time
    """

    operator: Operator
    axis: Chebyshev
    conditions: Mapping[int, Condition]
    forcing: Function | float = 0.0

    @cached_property
    def ends(self) -> Ends:
        """Inner and end nodes."""
        return Ends(self.axis, self.conditions)

    def full(self, time: float, inner: Array) -> Array:
        """Values at all nodes."""
        values = self.ends.extension @ inner
        places = ((self.axis.low, self.axis.high)[side] for side in self.ends.sides)
        data = [
            self.conditions[s].at(np.array(x), np.array(time)) for s, x in zip(self.ends.sides, places, strict=True)
        ]
        values[self.ends.ends] += self.ends.lift @ np.array(data)
        return np.asarray(values)

    def rate(self, time: float, inner: Array) -> Array:
        """u_t at the inner nodes."""
        scale, space = self._split
        values = self.full(time, inner)
        left = space.apply(lambda order: self._at_inner[order] @ values)
        if self._conduction is not None:
            left = left + self._conduction @ values
        forcing = evaluate(self.forcing, self.axis.points[self.ends.inner], np.array(time))
        return np.asarray((forcing - left) / scale)

    def jacobian(self, time: float, inner: Array) -> Array:
        """Derivative (inner, inner) of the rate by the inner values."""
        scale, space = self._split
        values = self.full(time, inner)
        pairs = space.linearise(lambda order: self._at_inner[order] @ values)
        total = sum(np.reshape(coefficient, (-1, 1)) * self._reduced[order] for coefficient, order in pairs)
        if self._conduction is not None:
            total = total + self._conduction @ self.ends.extension
        return np.asarray(-total / scale)

    @cached_property
    def _split(self) -> tuple[float, Operator]:
        scale, space = self.operator.split_time()
        return scale.real, space

    @cached_property
    def _at_inner(self) -> dict[Order, Array]:
        return {(m,): self.ends.derivative(m)[self.ends.inner] for m in range(3)}

    @cached_property
    def _reduced(self) -> dict[Order, Array]:
        return {order: matrix @ self.ends.extension for order, matrix in self._at_inner.items()}

    @cached_property
    def _conduction(self) -> Array | None:
        conductivity = self.operator.conductivity
        if conductivity is None:
            return None
        slope = self.ends.derivative(1)
        return np.asarray(slope[self.ends.inner] @ (evaluate(conductivity, self.axis.points)[:, None] * slope))
