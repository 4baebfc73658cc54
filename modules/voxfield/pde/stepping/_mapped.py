"""Chebyshev points drawn together at a front.

A front of width w costs a polynomial some 1 / w points. Moved by x = c + w sinh(...), the points crowd around c, and
rational barycentric interpolation in them converges as if the front were wide: about a hundred points for any width
(Tee & Trefethen, SIAM J. Sci. Comput. 28, 2006; that the Chebyshev weights may be kept: Baltensperger, Berrut & Noel,
Math. Comp. 68, 1999). They find c + iw, a singularity of the solution off the axis, by Pade approximation; here it is
told by where the slope is greatest, and how great, which for tanh is right within a factor of pi / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from voxfield.pde.problem.operator import Array
from voxfield.pde.spectral import Chebyshev


@dataclass(frozen=True)
class Mapped(Chebyshev):
    """`count` points on [low, high], drawn together within `width` of `centre`."""

    centre: float = 0.0
    width: float = 1.0

    @cached_property
    def points(self) -> Array:
        """Nodes (count,), ascending."""
        nodes = self.centre + self.width * np.sinh(self._angles)
        nodes[0], nodes[-1] = self.low, self.high
        return np.asarray(nodes)

    @cached_property
    def _angles(self) -> Array:
        first, last = np.arcsinh((np.array([self.low, self.high]) - self.centre) / self.width)
        return Chebyshev(first, last, self.count).points

    @cached_property
    def _differences(self) -> Array:
        a = self._angles
        first, last = a[0], a[-1]
        apart = Chebyshev(first, last, self.count)._differences
        return np.asarray(2 * self.width * np.cosh((a[:, None] + a) / 2) * np.sinh(apart / 2))


def front(axis: Chebyshev, values: Array) -> tuple[float, float]:
    """(centre, width) of the steepest place: half of the range of the values over the slope there."""
    slope = np.abs(axis.matrix(1) @ values)
    steepest = int(slope.argmax())
    if not slope[steepest]:
        return (axis.low + axis.high) / 2, axis.high - axis.low
    return float(axis.points[steepest]), float(np.ptp(values) / 2 / slope[steepest])
