"""A spectral solution: values at its nodes, and the function that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array
from voxfield.pde.spectral._equation import Axis, evaluate
from voxfield.pde.spectral._system import System
from voxfield.pde.spectral._tensor import along

SAMPLES = 7
CHUNK = 2048
GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Solution:
    """What a spectral solve gives.

    system      the equation on its grid
    values      at the nodes, one dimension an axis
    iterations  of Newton's; 1 for a linear equation
    imbalance   constant that the forcing had to be lowered by, where only derivatives are given (else 0)
    """

    system: System
    values: Array
    iterations: int
    imbalance: float

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Points of each axis."""
        return self.system.axes

    @cached_property
    def tails(self) -> tuple[float, ...]:
        """Of each axis, the largest coefficient in the last tenth over the largest of all."""
        return tuple(tail(axis.spectrum(self.values, number)) for number, axis in enumerate(self.axes))

    @cached_property
    def residual(self) -> float:
        """Residual between the nodes, root mean square over that of the equation's largest linear part or forcing."""
        points = [_between(axis, number) for number, axis in enumerate(self.axes)]
        rows = [axis.interpolation(at) for axis, at in zip(self.axes, points, strict=True)]
        forcing = evaluate(self.system.equation.forcing, *np.ix_(*points))
        of = self.system.derivative(self.values, rows)
        parts = [term.coefficient * of(term.order) for term in self.system.equation.operator.terms]
        left = self.system.left(self.values, rows)
        scale = max(_root_mean_square(part) for part in (forcing, left, *parts))
        return _root_mean_square(left - forcing) / scale if scale else 0.0

    def on(self, *points: Array) -> Array:
        """Values (m_1, m_2, ...) on the tensor grid of `points`, one array (m_k,) an axis, by interpolation."""
        values = self.values
        for number, (axis, at) in enumerate(zip(self.axes, points, strict=True)):
            values = along(axis.interpolation(np.asarray(at, dtype=float)), values, number)
        return values

    def at(self, points: Array) -> Array:
        """Values (n,) at scattered points (n, axes)."""
        points = np.asarray(points, dtype=float)
        if points.ndim != 2 or points.shape[1] != len(self.axes):
            raise InputError(f"points have shape {points.shape}; expected (n, {len(self.axes)})")
        chunks = [self._scattered(points[start : start + CHUNK]) for start in range(0, len(points), CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros(0)

    def _scattered(self, points: Array) -> Array:
        first, *rest = [axis.interpolation(column) for axis, column in zip(self.axes, points.T, strict=True)]
        values = np.tensordot(first, self.values, axes=1)
        for matrix in rest:
            values = np.einsum("nj,nj...->n...", matrix, values)
        return np.asarray(values)


def tail(spectrum: Sequence[float] | Array) -> float:
    """Largest of the last tenth (at least 3) of the coefficients, over the largest."""
    spectrum = np.asarray(spectrum)
    largest = spectrum.max()
    return float(spectrum[-max(3, len(spectrum) // 10) :].max() / largest) if largest else 0.0


def fractions(count: int, offset: int = 0) -> Array:
    """Fixed irrational places (count,) in (0.05, 0.95), spread evenly."""
    return np.asarray(0.05 + 0.9 * ((0.5 + offset / np.e + GOLDEN * np.arange(1, count + 1)) % 1))


def _between(axis: Axis, number: int) -> Array:
    return np.asarray(axis.low + (axis.high - axis.low) * fractions(SAMPLES, number))


def _root_mean_square(values: Array) -> float:
    return float(np.sqrt(np.mean(np.abs(values) ** 2)))
