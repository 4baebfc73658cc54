"""Schroedinger's equation by splitting: dispersion is exact in Fourier space, the nonlinearity since it keeps |u|.

For c u_t + S u + sum_p r_p |u|^(p-1) u = 0 with r_p / c imaginary, the nonlinear part alone turns u by an angle that
depends on |u|, which does not change meanwhile. Strang's step of order 2 is composed to order 4 by five of them, of
widths s, s, 1 - 4 s, s, s with s = 1 / (4 - 4^(1/3)) (Suzuki, Phys. Lett. A 146, 1990).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import fft

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array, Operator
from voxfield.pde.stepping._grid import PeriodicGrid

_S = 1 / (4 - 4 ** (1 / 3))
WIDTHS = (_S, _S, 1 - 4 * _S, _S, _S)


@dataclass(frozen=True)
class Splitting:
    """Fourth-order splitting of an equation of Schroedinger's kind; the state is the values.

    operator  left side, time last, without fluxes
    initial   values on the grid
    """

    operator: Operator
    grid: PeriodicGrid
    initial: Array
    order: int = 4

    def __post_init__(self) -> None:
        scale, space = self.operator.split_time()
        growing = [power for power, r in space.reaction.items() if abs((r / scale).real) > 1e-14 * abs(r / scale)]
        if space.flux or growing:
            raise InputError(
                f"the equation has {len(space.flux)} fluxes, and reactions of powers {growing} that change |u|; "
                "splitting wants i u_t with real reactions, and no fluxes"
            )

    def start(self) -> Array:
        """The initial value."""
        return np.asarray(self.initial, dtype=complex)

    def values(self, state: Array) -> Array:
        """The state itself."""
        return state

    def stepping(self, width: float) -> Callable[[float, Array], Array]:
        """One step: dispersions of neighbouring parts are joined."""
        scale, space = self.operator.split_time()
        rate = -self.grid.symbol(space) / scale * width
        ends = (0.0, *WIDTHS, 0.0)
        drifts = [np.exp(rate * (before + after) / 2) for before, after in pairwise(ends)]

        def step(time: float, state: Array) -> Array:
            del time  # the equation does not depend on it
            for drift, share in zip(drifts, WIDTHS, strict=False):
                state = fft.ifftn(drift * fft.fftn(state))
                turn = sum(r * np.abs(state) ** (power - 1) for power, r in space.reaction.items())
                state = state * np.exp(-share * width * turn / scale)
            return np.asarray(fft.ifftn(drifts[-1] * fft.fftn(state)))

        return step
