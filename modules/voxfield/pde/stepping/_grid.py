"""A periodic grid, and the Fourier symbol of an operator on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array, Operator
from voxfield.pde.spectral import Fourier, Interval


@dataclass(frozen=True)
class PeriodicGrid:
    """Equispaced points on a box all of whose axes are periodic."""

    axes: tuple[Fourier, ...]

    @classmethod
    def of(cls, box: Sequence[Interval], counts: Sequence[int]) -> PeriodicGrid:
        """Grid with `counts` points an axis (even)."""
        if any(interval.kind != "periodic" for interval in box):
            raise InputError(f"the axes are {[i.kind for i in box]}; Fourier stepping wants all of them periodic")
        if any(count < 4 or count % 2 for count in counts):
            raise InputError(
                f"the grid has {tuple(counts)} points; expected an even number, at least 4, along each axis"
            )
        return cls(tuple(Fourier(i.low, i.high, n) for i, n in zip(box, counts, strict=True)))

    @cached_property
    def coordinates(self) -> tuple[Array, ...]:
        """Points of all axes, shaped to broadcast together."""
        return tuple(np.ix_(*(axis.points for axis in self.axes)))

    def symbol(self, operator: Operator) -> Array:
        """Factor of each mode under the terms of the operator, in the order of the FFT.

        Unlike `Operator.symbol`, the Nyquist frequency has no odd derivative: real fields stay real.
        """
        total = np.zeros([axis.count for axis in self.axes], dtype=complex)
        for term in operator.terms:
            factors = [axis.symbol(m) for axis, m in zip(self.axes, term.order, strict=True)]
            total += term.coefficient * prod(np.ix_(*factors), start=np.ones(()))
        return total

    def waves(self, axis: int) -> Array:
        """Factor of each mode under the first derivative along one axis, shaped to broadcast with values."""
        return self.axes[axis].symbol(1).reshape([-1 if number == axis else 1 for number in range(len(self.axes))])
