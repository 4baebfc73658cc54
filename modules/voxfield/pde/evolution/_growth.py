"""Growth and spread in a mask, du/dt = div(D grad u) + rho u (1 - u) with insulated walls, by one step of time.

The equation of Fisher and of Kolmogorov, Petrovsky and Piskunov (1937); with D by tissue, the glioma model of Swanson,
Alvord and Murray (Cell Prolif. 33, 2000). Finite volumes with harmonic face coefficients in space. In time, the
splitting of Strang (SIAM J. Numer. Anal. 5, 1968): half a step of growth, which has the exact solution

    u(t) = u e / (1 + u (e - 1)),   e = exp(rho t),

a step of diffusion, and half a step of growth. Diffusion takes the two-stage, L-stable method of Alexander (SIAM J.
Numer. Anal. 14, 1977), gamma = 1 - 1/sqrt 2: both stages share one matrix, and what varies from voxel to voxel decays
at once. Each stage is solved for its increment, so that a constant stays one and mass is kept to the
accuracy of the solver times what moves.

Growth leaves u within 0 and 1. No method of second order keeps diffusion there at any step (Bolley and Crouzeix 1978);
here it leaves them by no more than the error of a step.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from voxfield.pde._domain import VoxelDomain
from voxfield.pde.voxels import VoxelPoisson

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Mask

GAMMA = 1 - 1 / np.sqrt(2)
RTOL = 1e-10
KEPT = 3  # solvers: a step, its half, and the one before


class Growth:
    """The equation on the n voxels of a mask.

    mask           (x, y, z)  True in tissue
    spacing        (3,)       mm along the voxel axes
    diffusivity    (n,)       D > 0, mm^2/day
    proliferation             rho >= 0, 1/day
    """

    def __init__(
        self, mask: Mask, spacing: tuple[float, float, float], diffusivity: Floats, proliferation: float
    ) -> None:
        self.domain = VoxelDomain(mask, spacing)
        self.diffusivity = diffusivity
        self.proliferation = proliferation
        self._solvers: dict[float, VoxelPoisson] = {}

    @cached_property
    def operator(self) -> sparse.csr_array:
        """-div(D grad u) (n, n), 1/day; its columns sum to 0."""
        a = self.diffusivity
        faces = np.concatenate([2 * a[low] * a[high] / (a[low] + a[high]) for low, high in self.domain.faces])
        return sparse.csr_array(self.domain.divergence @ sparse.diags_array(faces) @ self.domain.gradient)

    def rate(self, values: Floats) -> Floats:
        """du/dt (n,), 1/day times the unit of u."""
        return np.asarray(self.proliferation * values * (1 - values) - self.operator @ values)

    def step(self, values: Floats, days: float) -> tuple[Floats, float]:
        """The values after one step, and what growth added, summed over the voxels."""
        grown = self._grow(values, days / 2)
        spread = self._spread(grown, days)
        after = self._grow(spread, days / 2)
        return after, float((grown - values).sum() + (after - spread).sum())

    def _grow(self, values: Floats, days: float) -> Floats:
        if self.proliferation == 0:
            return values
        factor = np.expm1(self.proliferation * days)
        return np.asarray(values * (factor + 1) / (1 + values * factor))

    def _spread(self, values: Floats, days: float) -> Floats:
        absorption = 1 / (GAMMA * days)
        solver = self._solver(absorption)
        push = -(self.operator @ values)
        first = solver.solve(push).require(RTOL).values
        second = solver.solve(push + (1 - GAMMA) / GAMMA * absorption * first, start=first).require(RTOL).values
        return np.asarray(values + second)

    def _solver(self, absorption: float) -> VoxelPoisson:
        """(absorption - div D grad)^-1, set up when first asked for."""
        if absorption not in self._solvers:
            while len(self._solvers) >= KEPT:
                del self._solvers[next(iter(self._solvers))]
            self._solvers[absorption] = VoxelPoisson(
                self.domain.mask,
                self.domain.spacing,
                coefficient=self.diffusivity,
                absorption=absorption,
                rtol=RTOL,
            )
        return self._solvers[absorption]
