"""Exponential time differencing of order 4 on periodic grids: u_t = L u + N(u, t), L diagonal in Fourier space.

ETDRK4 of Cox & Matthews (J. Comput. Phys. 176, 2002, eq. 26-29). Its coefficients, such as (-4 - z + e^z (4 - 3 z +
z^2)) / z^3, lose all digits near z = 0 if computed as written; they are means over a circle around z instead (Kassam &
Trefethen, SIAM J. Sci. Comput. 26, 2005, eq. 2.5 and sec. 3). The circle is whole, so that complex L (Korteweg-de
Vries) is covered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array, Operator
from voxfield.pde.spectral._equation import Function, evaluate
from voxfield.pde.stepping._grid import PeriodicGrid

CIRCLE_POINTS = 64
LARGEST_GROWTH = 500.0


@dataclass(frozen=True)
class ExponentialRungeKutta:
    """ETDRK4; the state is the Fourier transform of the values.

    operator  left side, time last, whose forcing is `forcing` (a function of the axes and of time)
    initial   values on the grid
    """

    operator: Operator
    grid: PeriodicGrid
    initial: Array
    forcing: Function | float = 0.0
    order: int = 4

    def check(self, duration: float) -> None:
        """Refuse an equation whose modes grow beyond all numbers, as under diffusion of the wrong sign."""
        growth = float(self._linear.real.max()) * duration
        if growth > LARGEST_GROWTH:
            raise InputError(
                f"a mode of the grid would grow by exp({growth:.3g}) from the first time to the last: the equation "
                "does not go forward in time; check the signs of its terms"
            )

    def start(self) -> Array:
        """Transform of the initial value."""
        return np.asarray(fft.fftn(self.initial))

    def values(self, state: Array) -> Array:
        """Values on the grid."""
        values = fft.ifftn(state)
        return np.asarray(values if self.operator.complex_valued else values.real)

    def stepping(self, width: float) -> Callable[[float, Array], Array]:
        """One step: four evaluations of N."""
        linear = self._linear
        whole, half = np.exp(width * linear), np.exp(width * linear / 2)
        q, first, middle, last = coefficients(linear, width)

        def step(time: float, state: Array) -> Array:
            n = self._nonlinear(state, time)
            a = half * state + q * n
            n_a = self._nonlinear(a, time + width / 2)
            b = half * state + q * n_a
            n_b = self._nonlinear(b, time + width / 2)
            c = half * a + q * (2 * n_b - n)
            n_c = self._nonlinear(c, time + width)
            return np.asarray(whole * state + first * n + 2 * middle * (n_a + n_b) + last * n_c)

        return step

    @cached_property
    def _split(self) -> tuple[complex, Operator]:
        return self.operator.split_time()

    @cached_property
    def _linear(self) -> Array:
        scale, space = self._split
        linear = -self.grid.symbol(space) / scale
        return linear if linear.imag.any() else linear.real

    def _nonlinear(self, state: Array, time: float) -> Array:
        """Transform of N; fluxes are differentiated there, so that each costs one transform."""
        scale, space = self._split
        u = self.values(state)
        local = sum((r * u**power for power, r in space.reaction.items()), start=np.zeros(()))
        if callable(self.forcing) or self.forcing:
            local = local - evaluate(self.forcing, *self.grid.coordinates, np.full((1,) * u.ndim, time))
        total = fft.fftn(local) if local.ndim else local
        for part in space.flux:
            total = total + part.coefficient * self.grid.waves(part.axis) * fft.fftn(u**part.power)
        return np.asarray(-total / scale)


def coefficients(linear: Array, width: float) -> tuple[Array, Array, Array, Array]:
    """Q, f1, f2, f3 of ETDRK4 for each entry of L, by means over circles of radius 1 around width * L."""
    sums = [np.zeros(linear.shape, dtype=complex) for _ in range(4)]
    for root in np.exp(2j * np.pi * (np.arange(CIRCLE_POINTS) + 0.5) / CIRCLE_POINTS):
        z = width * linear + root
        e, cube = np.exp(z), z**3
        sums[0] += (np.exp(z / 2) - 1) / z
        sums[1] += (-4 - z + e * (4 - 3 * z + z**2)) / cube
        sums[2] += (2 + z + e * (z - 2)) / cube
        sums[3] += (-4 - 3 * z - z**2 + e * (4 - z)) / cube
    means = [width * total / CIRCLE_POINTS for total in sums]
    q, first, middle, last = means if np.iscomplexobj(linear) else [mean.real for mean in means]
    return q, first, middle, last
