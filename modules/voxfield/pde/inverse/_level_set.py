"""Piecewise constant fields of two values: where a Gaussian field is above zero.

The level-set prior of Iglesias, Lu and Stuart (Interfaces and Free Boundaries 18, 2016, arXiv 1504.00313), with the
Gaussian field N(0, (-lap + tau^2)^-2) under Neumann conditions and without its mean, as Darcy benchmarks have it:
cosines with independent standard normal coefficients, times their standard deviations. Different from those
benchmarks: the cosines end at a given wave number, so that one function exists on every grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from voxfield.pde.inverse._darcy import Floats, centres


@dataclass(frozen=True)
class LevelSetPrior:
    """Fields of `low` and `high` on cells of the unit square, from standard normal coefficients.

    waves  half periods along an axis, fewer than this; the coefficients are waves^2 - 1 in number
    tau    inverse length of correlation
    """

    low: float
    high: float
    cells: int
    waves: int = 10
    tau: float = 3.0

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return self.waves**2 - 1

    @cached_property
    def deviations(self) -> Floats:
        """Standard deviations of the coefficients (waves^2 - 1,), such that the level has mean variance 1."""
        squared = np.add.outer(np.arange(self.waves) ** 2, np.arange(self.waves) ** 2).ravel()[1:]
        found = 1 / (np.pi**2 * squared + self.tau**2)
        return np.asarray(found / np.linalg.norm(found))

    def level(self, coefficients: Floats, refine: int = 1) -> Floats:
        """The Gaussian field (..., n, n) of coefficients (..., size), on cells divided by `refine` along an axis."""
        cosines = self._cosines if refine == 1 else cosine_table(self.waves, self.cells * refine)
        return np.asarray(cosines.T @ self._amplitudes(coefficients) @ cosines)

    def field(self, coefficients: Floats, refine: int = 1) -> Floats:
        """The permeability (..., n, n)."""
        return np.where(self.level(coefficients, refine) > 0, self.high, self.low)

    def smooth_field(self, coefficients: Floats, width: float) -> tuple[Floats, Floats]:
        """The permeability (n, n) with the step replaced by a sigmoid, and its slope in the level."""
        share = expit(self.level(coefficients) / width)
        return self.low + (self.high - self.low) * share, (self.high - self.low) * share * (1 - share) / width

    def pull_back(self, gradient: Floats) -> Floats:
        """Gradient in the coefficients (size,) from that in the level (n, n)."""
        return (self._cosines @ gradient @ self._cosines.T).ravel()[1:] * self.deviations

    @cached_property
    def _cosines(self) -> Floats:
        return cosine_table(self.waves, self.cells)

    def _amplitudes(self, coefficients: Floats) -> Floats:
        amplitudes = np.zeros((*coefficients.shape[:-1], self.waves**2))
        amplitudes[..., 1:] = coefficients * self.deviations
        return amplitudes.reshape(*coefficients.shape[:-1], self.waves, self.waves)


def cosine_table(waves: int, count: int) -> Floats:
    """cos(pi k x) (waves, count) in the centres of cells, of mean square one."""
    table = np.cos(np.pi * np.outer(np.arange(waves), centres(count)))
    table[1:] *= np.sqrt(2)
    return table
