"""The heat method: arrival times from linear solves (Crane, Weischedel and Wardetzky, ACM Trans. Graph. 32, 2013).

Heat that flows for a short while from the sources falls off like exp(-T / tau) (Varadhan, CPAM 20, 1967). So

    1. (s^2 / tau^2 - div grad) u = 0, u = 1 on the sources       (their step I, with time step tau^2)
    2. X = -s grad u / |grad u|                                   (step II)
    3. div grad T = div X, T = 0 on the sources, no flux of grad T - X through walls     (step III)

with s = 1 / speed, which enters the first equation through the leading terms of u = exp(-T / tau).

What differs from the paper. Heat is held at 1 on the sources, so that a set of any shape starts in phase. The
direction is taken from -tau log u, which is nearly linear where u falls by a factor from voxel to voxel. An iterative
solver knows u to a share of its largest value, so u is found in stretches of exp(-STRETCH), each from the last. Steps
2 and 3 are repeated once with the T found. The error is of first order in tau: the method is run with tau of one
voxel and of two, what is returned is extrapolated to tau = 0, and the difference of the two estimates what tau still
costs. The stencil adds a quarter of a voxel (root mean square): at sources, at walls, and where fronts meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from voxfield.errors import InputError
from voxfield.pde._elliptic import EllipticSolver

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints
    from voxfield.pde.geodesic._grid import Stencil

TAU_STEPS = (1.0, 2.0)  # tau over the time in which the front crosses a voxel
STRETCH = 20.0
ROUNDS = 2  # of steps 2 and 3
EXACT = 1e-13  # relative residual at which exp(-STRETCH) still has four digits


class Heat(NamedTuple):
    """Arrival times by heat.

    times      (n,)  s, or mm at unit speed
    tau_error  (n,)  estimated size of the error that tau makes
    residual         relative, of the last Poisson solves
    """

    times: Floats
    tau_error: Floats
    residual: float


def heat_times(stencil: Stencil, sources: Ints, slowness: Floats, *, rtol: float = 1e-8) -> Heat:
    """Arrival times of a front that starts at the centres of the source voxels.

    sources   (m,)  numbers of the source voxels; every part of the domain holds one
    slowness  (n,)  1 / speed, s/mm; ones for a distance
    """
    flow = _Flow(stencil, sources, slowness)
    step = max(stencil.domain.spacing) * float(slowness.mean())
    times = np.stack([flow.decay(count * step) for count in TAU_STEPS], axis=1)
    residual = np.zeros(len(TAU_STEPS))
    if flow.free.size:
        solver = EllipticSolver(flow.stiffness(flow.free), stencil.domain.cells[flow.free], rtol=rtol)
        for _ in range(ROUNDS):
            sources_of = np.stack([flow.divergence(column)[flow.free] for column in times.T], axis=1)
            times[flow.free], residual, _ = solver.solve(sources_of, start=times[flow.free]).require(rtol)
    fine, coarse = times.T
    share = TAU_STEPS[0] / (TAU_STEPS[1] - TAU_STEPS[0])
    return Heat(fine + share * (fine - coarse), share * np.abs(fine - coarse), float(residual.max(initial=0.0)))


class _Flow:
    """The pieces of the method on one domain."""

    def __init__(self, stencil: Stencil, sources: Ints, slowness: Floats) -> None:
        self.stencil = stencil
        self.domain = stencil.domain
        self.slowness = slowness
        self.sources = sources
        self.free = np.setdiff1d(np.arange(self.domain.size), sources)

    def stiffness(self, rows: Ints) -> sparse.csr_array:
        """The weak Laplacian (m, m) of some voxels, T = 0 at all others."""
        return sparse.csr_array(self.domain.stiffness[rows][:, rows])

    def decay(self, tau: float) -> Floats:
        """-tau log u (n,), stretch by stretch."""
        times = np.full(self.domain.size, np.inf)
        times[self.sources] = 0
        left = self.free
        while left.size:
            known = np.flatnonzero(np.isfinite(times))
            coupling = sparse.csr_array(self.domain.stiffness[left][:, known])
            start = times[known[np.unique(coupling.indices)]].min()
            heat = np.exp(np.minimum(start - times[known], 0) / tau)
            matrix = self.stiffness(left) + sparse.diags_array((self.slowness[left] / tau) ** 2)
            # The diagonal outweighs the rest of a row by the share of a voxel in tau: Jacobi is all that it takes.
            jacobi = sparse.diags_array(1 / matrix.diagonal())
            found, failed = cg(matrix, -(coupling @ heat), rtol=EXACT, atol=0, M=jacobi)
            if failed:
                raise InputError(
                    f"the decay of heat was not found to {EXACT:g} in {failed} iterations; does the speed, or the size "
                    "of the voxels along the axes, differ by many orders of magnitude? Use the method eikonal"
                )
            near = found > np.exp(-STRETCH)
            times[left[near]] = start - tau * np.log(found[near])
            left = left[~near]
        return times

    def divergence(self, times: Floats) -> Floats:
        """Weak form (n,) of div X with X = s grad T / |grad T|, taken on the faces."""
        gradient = self.stencil.gradient(times)
        fluxes = []
        for axis, (low, high) in enumerate(self.domain.faces):
            along = (times[high] - times[low]) / self.domain.spacing[axis]
            across = [(gradient[other, low] + gradient[other, high]) / 2 for other in range(3) if other != axis]
            length = np.sqrt(along**2 + across[0] ** 2 + across[1] ** 2)
            slowness = (self.slowness[low] + self.slowness[high]) / 2
            fluxes.append(slowness * along / np.where(length > 0, length, 1.0))
        return np.asarray(self.domain.divergence @ np.concatenate(fluxes))
