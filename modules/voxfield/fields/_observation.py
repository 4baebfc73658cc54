"""How a measured voxel sees the velocity: linear shift-invariant operators on the fine grid.

An operator H takes the field at the centres of fine cells to the measured voxels. Its symbol along one axis is
h(theta) = sum_j w_j exp(i theta j), j the offset in fine cells from cell `refine * i` of voxel i:

    cell-average    the mean of the `refine` cells that a voxel consists of
    corner-aligned  voxel i sits on cell refine * i; triangular weights, 1-2-1 for refine = 2
    kspace-crop     the frequencies up to the Nyquist frequency of the measurement, and no others

The place of voxel i in fine cells is refine * i + offset: offset 0 where the grids are aligned at corners,
(refine - 1) / 2 where a voxel is a block of cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voxfield.fields._prior import Box, Complex, Real

Operator = Literal["cell-average", "corner-aligned", "kspace-crop"]
Alignment = Literal["cell", "corner"]


def weights(operator: Operator, refine: int) -> dict[int, float]:
    """Weights by offset along an axis, of the operators that have few."""
    if operator == "cell-average":
        return dict.fromkeys(range(refine), 1 / refine)
    return {j: (refine - abs(j)) / refine**2 for j in range(1 - refine, refine)}


@dataclass(frozen=True)
class Observation:
    """The operator H on a box."""

    box: Box
    operator: Operator
    alignment: Alignment

    @property
    def offset(self) -> float:
        """Fine cells from cell refine * i to the place of voxel i."""
        return 0.0 if self.alignment == "corner" else (self.box.refine - 1) / 2

    @property
    def is_identity(self) -> bool:
        """Whether a voxel sees just its own cell."""
        return self.box.refine == 1

    @cached_property
    def symbol(self) -> NDArray[np.complex128]:
        """h(theta_x) h(theta_y) h(theta_z) on the half spectrum."""
        x, y, z = (self._along(theta) for theta in self.box.angles)
        product: Complex = x * y * z
        return product

    def apply(self, spectrum: Complex) -> Complex:
        """Spectrum of the field as the voxels see it."""
        return spectrum * self.symbol

    def fraction(self, occupancy: Real) -> Real:
        """Share of every voxel's weight that lies in the lumen: (*fine) in 0..1 to (*coarse); outside counts 0.

        The k-space crop has negative weights, so the average of the same alignment stands in for it.
        """
        refine = self.box.refine
        operator: Operator = "cell-average" if self.alignment == "cell" else "corner-aligned"
        share = occupancy
        for axis in range(3):
            total = np.zeros_like(share)
            for offset, weight in weights(operator, refine).items():
                total += weight * np.roll(share, -offset, axis)
            share = total
        return share[::refine, ::refine, ::refine]

    def _along(self, theta: Real) -> Complex:
        refine = self.box.refine
        if refine == 1:
            return np.ones_like(theta, dtype=np.complex128)
        if self.operator != "kspace-crop":
            terms = [w * np.exp(1j * theta * j) for j, w in weights(self.operator, refine).items()]
            return np.asarray(np.sum(terms, axis=0), dtype=np.complex128)
        # the highest frequency stands for both of its signs, so it is halved
        passed = 0.5 * (np.abs(theta) < np.pi / refine - 1e-9) + 0.5 * (np.abs(theta) < np.pi / refine + 1e-9)
        return np.asarray(passed * np.exp(1j * theta * self.offset), dtype=np.complex128)
