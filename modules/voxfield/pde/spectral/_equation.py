"""What the spectral solver solves: an operator on a box, with a condition on every side that needs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array, Operator
from voxfield.pde.spectral._chebyshev import Chebyshev
from voxfield.pde.spectral._fourier import Fourier

Axis: TypeAlias = Chebyshev | Fourier
Function: TypeAlias = Callable[..., Array]  # one array of coordinates an axis, broadcast together -> values
Side: TypeAlias = tuple[int, int]  # axis, 0 at its low end and 1 at its high end


class Interval(NamedTuple):
    """One axis of the box: [low, high], in its unit."""

    low: float
    high: float
    kind: Literal["bounded", "periodic", "time"] = "bounded"

    def discretise(self, count: int) -> Axis:
        """That many collocation points: an even number on a periodic axis, at least 4; on another at least 3."""
        if count < 3 or (self.kind == "periodic" and (count % 2 or count < 4)):
            wanted = "an even number, at least 4" if self.kind == "periodic" else "at least 3"
            raise InputError(f"a {self.kind} axis is given {count} points; expected {wanted}")
        return (Fourier if self.kind == "periodic" else Chebyshev)(self.low, self.high, count)

    def end(self, side: int) -> float:
        """low for side 0, high for side 1."""
        return self.high if side else self.low

    @property
    def length(self) -> float:
        """high - low."""
        return self.high - self.low


@dataclass(frozen=True)
class Condition:
    """`value * u + slope * du/dn = data` on one side, n the outward normal: Dirichlet, Neumann or both (Robin).

    data   number, or function of the coordinates of all axes (that of the side is its end)
    """

    data: Function | float
    value: float = 1.0
    slope: float = 0.0

    def at(self, *coordinates: Array) -> Array:
        """Data at coordinates that broadcast together."""
        return evaluate(self.data, *coordinates)


def dirichlet(data: Function | float) -> Condition:
    """u = data."""
    return Condition(data)


def neumann(data: Function | float) -> Condition:
    """du/dn = data along the outward normal; a flux a du/dn is to be divided by its conductivity a."""
    return Condition(data, value=0.0, slope=1.0)


@dataclass(frozen=True)
class Equation:
    """An operator on a box, its forcing, and the conditions by side.

    box         one interval an axis of the operator, time last where there is one
    forcing     right side, as a function of the coordinates of all axes
    conditions  (axis, 0 | 1) -> condition; a bounded axis has as many as the order of its highest derivative,
                the time axis one, at its low end (the initial value), a periodic axis none
    """

    operator: Operator
    box: tuple[Interval, ...]
    forcing: Function | float = 0.0
    conditions: Mapping[Side, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        axes = len(self.operator.terms[0].order)
        if axes != len(self.box):
            raise InputError(f"the operator has {axes} axes and the box {len(self.box)}; they must be the same")
        for axis, interval in enumerate(self.box):
            self._check_axis(axis, interval)

    def _check_axis(self, axis: int, interval: Interval) -> None:
        sides = [side for number, side in sorted(self.conditions) if number == axis]
        order = self.order(axis)
        wanted = 0 if interval.kind == "periodic" else order
        if not interval.length > 0:
            raise InputError(
                f"axis {axis} is [{interval.low}, {interval.high}]; its low end must lie below its high end"
            )
        if wanted > 2:
            raise InputError(
                f"axis {axis} has a derivative of order {order}; a bounded axis takes at most 2: make it periodic"
            )
        if len(sides) != wanted or (interval.kind == "time" and sides != [0]):
            found = ", ".join("high" if side else "low" for side in sides) or "none"
            place = " (one, at its low end)" if interval.kind == "time" else ""
            raise InputError(
                f"axis {axis} is {interval.kind} with derivatives up to order {order} and needs {wanted} conditions"
                f"{place}; found: {found}"
            )

    def order(self, axis: int) -> int:
        """Order of the highest derivative along an axis."""
        orders = [term.order[axis] for term in self.operator.terms if term.coefficient]
        orders += [1 for flux in self.operator.flux if flux.axis == axis]
        orders += [2] if self.operator.conductivity and axis in self.space else []
        return max(orders, default=0)

    @property
    def space(self) -> tuple[int, ...]:
        """Axes but that of time."""
        return tuple(axis for axis, interval in enumerate(self.box) if interval.kind != "time")

    @property
    def singular(self) -> bool:
        """Whether constants solve the homogeneous equation: neither u itself nor its boundary value appears."""
        return self.free and self.operator.linear

    @property
    def free(self) -> bool:
        """Whether the linear part maps constants to zero, and no condition tells a value."""
        slopes = all(not condition.value for condition in self.conditions.values())
        return slopes and all(any(term.order) for term in self.operator.terms if term.coefficient)


def evaluate(function: Function | float, *coordinates: Array) -> Array:
    """Values of a function or a number on coordinates that broadcast together; refuses values that are not finite."""
    shape = np.broadcast_shapes(*(np.shape(c) for c in coordinates))
    values = np.broadcast_to(function(*coordinates) if callable(function) else function, shape)
    if not np.isfinite(values).all():
        where = np.unravel_index(np.argmin(np.isfinite(values)), shape)
        place = ", ".join(f"{np.broadcast_to(c, shape)[where]:.6g}" for c in coordinates)
        raise InputError(f"a forcing or condition is {values[where]} at ({place}); give one that is finite everywhere")
    return values
