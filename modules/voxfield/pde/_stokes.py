"""Pressure by a Stokes problem: the Stokes estimator.

Svihlova et al., International Journal of Engineering Science 105 (2016) 108, and, as one among others, Bertoglio et
al., International Journal for Numerical Methods in Biomedical Engineering 34 (2018), doi 10.1002/cnm.2925.

Find w and p with -lap w + grad p = b, div w = 0, and w = 0 on the whole boundary, the openings included. Where b is the
gradient of a pressure, w = 0 and p is that pressure; where b is not, w takes up what no pressure balances. The weak
Poisson equation takes the part of b that is a gradient in the mean square; here b counts by what it does in a flow
without slip, hence hardly beside the wall. Scaling lap changes w, not p, so there is nothing to choose.

On the staggered grid of Harlow and Welch (Phys. Fluids 8, 1965): p at the voxels, w on the interior faces, so that
div w = 0 is the balance of every voxel and no pressure is spurious. The wall is the faces of the voxels: half an edge
beside the centre of a face, a whole edge before or behind it. The b is that of the weak form (`_momentum`).
The papers leave the viscous term as integral(mu grad u : grad w), which needs no second derivative but the no slip of u
on the very faces of the mask, whose drag no voxel resolves (`_confidence`). For the same reason w meets a resistance in
the voxels that touch the wall, -lap w + r w, of which the papers know nothing. Without it the error of a drop on exact
flows doubles, and on phantom vessels the median goes from 4 to 10 %, though at .7 mm it falls on two of six
(`benchmarks/pressure.py` has both).

With the velocity eliminated, S p = D' A^-1 b, S = D' A^-1 D: A is -lap + r for all three components, D the difference
quotient of the faces. S acts like the identity on pressures that vary across the lumen and like D' k D on those that
vary along it, where k = A^-1 1 is the velocity that a uniform unit force drives: the flow through long tubes, which
makes the condition number of S grow with the square of their length over their width. So 1 + (D' k D)^-1 is the
preconditioner, in the manner of Cahouet and Chabard (Int. J. Numer. Methods Fluids 8, 1988).

S is symmetric, so the mean of p over one opening less that over another is b times the flow v = A^-1 D S^-1 c that the
difference of the two means, c, drives as a source. One Stokes problem per opening gives the drops of any number of
samples, and is the virtual field that Marlevi et al. (Scientific Reports 9, 2019) use; compare `_work_energy`. The drop
is exact for every b that is a gradient if v balances the source, whatever else v is. Hence v is solved for to the third
digit, and k D phi mends its balance to as many as are asked for.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from voxfield.pde._domain import VoxelDomain
from voxfield.pde._elliptic import EllipticSolver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxfield.pde._domain import Floats
    from voxfield.pde._openings import Opening
    from voxfield.pde._relative import Lumen

ROUGH = 0.1  # relative residual of the solves within the preconditioner
INNER = 0.1  # that of the solves with A, over the one of the balance
DRIVEN = 1e-3  # that of the balance of a driven flow before it is mended
MOST_ITERATIONS = 200


class StokesSolution(NamedTuple):
    """Solutions of k problems.

    pressure    (n, k)  zero mean over every component; Pa where b is in Pa/m
    flow        (f, k)  w across the interior faces
    residual    (k,)    of the balance of the voxels, relative
    iterations          of the slowest column
    """

    pressure: Floats
    flow: Floats
    residual: Floats
    iterations: int


class StokesEstimator:
    """The Stokes problem of one domain, set up once for any number of right sides.

    resistance  (f,) r at the interior faces, 1/m^2; None for none
    rtol        relative residual of the balance of the voxels
    """

    def __init__(self, domain: VoxelDomain, resistance: Floats | None = None, *, rtol: float = 1e-6) -> None:
        self.domain = domain
        self.resistance = np.zeros(sum(domain.face_counts)) if resistance is None else resistance
        self.rtol = rtol

    def estimate(self, face_force: Floats) -> StokesSolution:
        """Pressure and w of a force b (f, k) across the interior faces."""
        free = self._answer(face_force)
        excess = self.domain.divergence @ free
        pressure, iterations = self._balanced(excess)
        flow = free - self._answer(self.domain.gradient @ pressure)
        return StokesSolution(pressure, flow, _relative(self.domain.divergence @ flow, excess), iterations)

    def driven(self, sources: Floats, *, balance: float) -> tuple[Floats, Floats]:
        """Flow v (f, k) of sources (n, k) that sum to 0, and the relative residual (k,) of D' v = sources.

        balance  the residual to reach by mending, whatever rtol is
        """
        domain = self.domain
        flow = self._answer(domain.gradient @ self._balanced(sources)[0])
        phi = self._permeable(balance).solve(sources - domain.divergence @ flow).values
        flow = flow + self._permeability[:, None] * (domain.gradient @ phi)
        return flow, _relative(domain.divergence @ flow - sources, sources)

    @cached_property
    def _viscous(self) -> EllipticSolver:
        """A, the three components beside each other in one domain."""
        faces = _face_domain(self.domain)
        matrix = faces.stiffness + sparse.diags_array(_wall_leak(faces, self.domain.face_counts) + self.resistance)
        return EllipticSolver(sparse.csr_array(matrix), faces.cells, rtol=INNER * self.rtol)

    @cached_property
    def _permeability(self) -> Floats:
        """The velocity k (f,) that a unit force on every face drives."""
        return self._answer(np.ones((sum(self.domain.face_counts), 1)))[:, 0]

    def _permeable(self, rtol: float) -> EllipticSolver:
        """D' k D."""
        matrix = self.domain.divergence @ sparse.diags_array(self._permeability) @ self.domain.gradient
        return EllipticSolver(sparse.csr_array(matrix), self.domain.cells, rtol=rtol)

    def _answer(self, force: Floats) -> Floats:
        """A^-1 (f, k)."""
        return self._viscous.solve(force).values

    def _balanced(self, rhs: Floats) -> tuple[Floats, int]:
        """Solve S p = rhs by conjugate gradients, flexible since the preconditioner is itself an iteration."""
        domain, rough = self.domain, self._permeable(ROUGH)
        aims = self.rtol * np.linalg.norm(rhs, axis=0)
        p, direction = np.zeros_like(rhs), np.zeros_like(rhs)
        r, before, rz = rhs, rhs, np.zeros_like(aims)
        for iteration in range(MOST_ITERATIONS):
            going = np.linalg.norm(r, axis=0) > aims
            if not going.any():
                return p, iteration
            r = r - rough.kernel @ (rough.kernel.T @ r)  # round-off, of which more and more of r would consist
            z = r + rough.solve(r).values
            direction = z + _ratio((z * (r - before)).sum(axis=0), rz) * direction
            rz = (z * r).sum(axis=0)
            image = domain.divergence @ self._answer(domain.gradient @ direction)
            step = going * _ratio(rz, (direction * image).sum(axis=0))
            p = p + step * direction
            before, r = r, r - step * image
        return p, MOST_ITERATIONS


class OpeningFlows(NamedTuple):
    """Stokes flows from the reference of a lumen to its other openings.

    openings   label -> plane, of all openings of the lumen
    reference  its label
    flows      label -> (f,)  across the interior faces, for every other opening
    residual   of the balance of the voxels, relative
    """

    openings: Mapping[int, Opening]
    reference: int
    flows: Mapping[int, Floats]
    residual: float

    def pressures(self, face_force: Floats, cell_force: Floats) -> dict[int, Floats]:
        """Mean pressure (k,) over every opening less that over the reference, as the estimator finds it.

        face_force  (f, k)     b across the interior faces
        cell_force  (n, 3, k)  b at the voxels, which leads from the outermost of them to the plane
        """
        nothing = np.zeros((len(cell_force), 1))
        beyond = {label: plane.pressure(nothing, cell_force) for label, plane in self.openings.items()}
        start = beyond[self.reference]
        found = {label: flow @ face_force + beyond[label] - start for label, flow in self.flows.items()}
        return found | {self.reference: np.zeros_like(start)}


def opening_flows(lumen: Lumen, *, rtol: float = 1e-8) -> OpeningFlows:
    """Solve a Stokes problem for every opening of a lumen that the reference reaches; rtol of the balance."""
    means = {label: plane.mean(lumen.domain.size) for label, plane in lumen.openings.items()}
    others = [label for label in means if label != lumen.reference]
    if not others:
        return OpeningFlows(lumen.openings, lumen.reference, {}, 0.0)
    sources = np.stack([means[label] - means[lumen.reference] for label in others], axis=1)
    flows, residual = StokesEstimator(lumen.domain, lumen.resistance, rtol=DRIVEN).driven(sources, balance=rtol)
    by_label = dict(zip(others, flows.T, strict=True))
    return OpeningFlows(lumen.openings, lumen.reference, by_label, float(residual.max()))


def _face_domain(domain: VoxelDomain) -> VoxelDomain:
    """The interior faces as voxels, each where the voxel below it is; axes beside each other along the first."""
    mask = domain.mask
    gap = np.zeros((1, *mask.shape[1:]), dtype=bool)  # so that faces of two axes never touch
    boxes = []
    for axis in range(3):
        above = np.roll(mask, -1, axis=axis)
        np.moveaxis(above, axis, 0)[-1] = False
        boxes += [mask & above, gap]
    return VoxelDomain(np.concatenate(boxes), domain.spacing)


def _wall_leak(faces: VoxelDomain, counts: tuple[int, ...]) -> Floats:
    """What the wall adds to the diagonal of A (f,)."""
    normal = np.repeat(np.arange(3), counts)
    leak = np.zeros(faces.size)
    for axis, step in enumerate(faces.spacing):
        for side in (-1, 1):
            missing = faces.neighbour((side * (axis == 0), side * (axis == 1), side * (axis == 2))) == faces.size
            leak += missing * np.where(normal == axis, 1, 2) / step**2
    return leak


def _ratio(above: Floats, below: Floats) -> Floats:
    """0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _relative(residual: Floats, rhs: Floats) -> Floats:
    return _ratio(np.linalg.norm(residual, axis=0), np.linalg.norm(rhs, axis=0))
