"""Relative pressure in one lumen from velocity samples (weak pressure Poisson equation).

For all q: integral(grad p . grad q) = integral(b . grad q), b = -rho (du/dt + u . grad u) + mu lap u.
Discretely, with the difference quotient D across the interior faces and weights K on them: D'K D p = D'K b. Constants
are in the kernel of D and the right side is in the range of D', so the system is compatible whatever the noise in b,
and leaving out the boundary faces is the natural condition dp/dn = b.n on the staircase. Where b is the exact
difference quotient of a pressure, that pressure comes out exactly, on any mask and spacing and with any weights: the
staircase itself costs nothing, and the error is that of b, second order in the voxel (tests/pde/test_convergence.py).
The weights are where the velocity can be trusted (`_confidence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from voxfield.pde._confidence import face_weights, fit_trust, flow_weights, wall_resistance
from voxfield.pde._derivatives import LocalFit
from voxfield.pde._domain import VoxelDomain
from voxfield.pde._elliptic import EllipticSolver
from voxfield.pde._momentum import Fluid, momentum_force, time_derivative
from voxfield.pde._openings import WALL, Opening, boundary_faces, opening_plane

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Ints, Mask
    from voxfield.pde._openings import BoundaryFaces


@dataclass(frozen=True)
class Timing:
    """Frames of a series: seconds between them, and whether the last is followed by the first."""

    step: float
    cyclic: bool


class Lumen:
    """One lumen with its openings and all that can be set up before a velocity is known.

    mask       (x, y, z)  the voxels drawn
    marks      (x, y, z)  openings label map
    spacing    (3,)       metres
    reference  label of the opening whose mean pressure is zero
    speed      (x, y, z)  of the mean flow in any unit, by which voxels are weighted; None weights all alike
    """

    def __init__(
        self,
        mask: Mask,
        marks: NDArray[np.integer],
        spacing: tuple[float, float, float],
        reference: int,
        speed: Floats | None = None,
    ) -> None:
        self.drawn = mask
        self.marks = marks
        self.spacing = spacing
        self.reference = reference
        self.speed = speed

    @cached_property
    def domain(self) -> VoxelDomain:
        """The component with most faces of the reference; empty if the reference misses the lumen."""
        whole = VoxelDomain(self.drawn, self.spacing)
        entry = boundary_faces(whole, self.marks).get(self.reference)
        if entry is None:
            return VoxelDomain(np.zeros_like(self.drawn), self.spacing)
        parts = whole.components
        main = int(np.bincount(parts[entry.cells]).argmax())
        if (parts == main).all():
            return whole
        return VoxelDomain(whole.dense(parts == main, fill=0.0) > 0, self.spacing)

    @property
    def reached(self) -> bool:
        """Whether the reference opens into the lumen at all."""
        return self.domain.size > 0

    @cached_property
    def boundary(self) -> dict[int, BoundaryFaces]:
        """Faces that lead out of the domain by label."""
        return boundary_faces(self.domain, self.marks)

    @cached_property
    def openings(self) -> dict[int, Opening]:
        """Planes of the openings that the domain has."""
        return {label: opening_plane(self.domain, faces) for label, faces in self.boundary.items() if label > 1}

    @cached_property
    def fit(self) -> LocalFit:
        """Derivatives in this domain."""
        if self.speed is None:
            return LocalFit(self.domain)
        return LocalFit(self.domain, fit_trust(self.domain, self.speed, self._wall))

    @cached_property
    def weights(self) -> Floats:
        """Weight (n,) of each voxel in the weak form."""
        if self.speed is None:
            return np.ones(self.domain.size)
        return flow_weights(self.domain, self.speed, self._wall)

    @cached_property
    def resistance(self) -> Floats | None:
        """What a Stokes flow meets beside the wall (f,), 1/m^2; None where all voxels count alike."""
        return None if self.speed is None else wall_resistance(self.domain, self._wall)

    @property
    def _wall(self) -> Ints:
        """Unknowns that touch the wall."""
        faces = self.boundary.get(WALL)
        return np.empty(0, dtype=np.intp) if faces is None else np.unique(faces.cells)


@dataclass(frozen=True)
class LumenPressure:
    """Pressures of k fields in one lumen.

    values      (n, k)         pascal at the voxels of the domain, 0 on average over the reference plane
    cell_force  (n, 3, k)      b at the voxels, Pa/m
    face_force  (f, k)         b across the interior faces, Pa/m
    planes      label -> (k,)  mean pressure over each opening, Pa
    fluxes      label -> (k,)  outward flux, m^3/s
    speeds      label -> (k,)  largest speed at the opening, m/s
    peaks       (k,)           largest speed in the domain, m/s
    """

    values: Floats
    cell_force: Floats
    face_force: Floats
    planes: Mapping[int, Floats]
    fluxes: Mapping[int, Floats]
    speeds: Mapping[int, Floats]
    peaks: Floats
    residual: float
    iterations: int


def relative_pressure(
    lumen: Lumen, velocity: Floats, fluid: Fluid, *, timing: Timing | None = None, rtol: float = 1e-8
) -> LumenPressure:
    """Solve for all samples and frames of one lumen at once.

    velocity  (s, t, n, 3)  m/s along the voxel axes, at the n voxels of lumen.domain
    timing                  of the frames; None leaves out du/dt
    returns   k = s t fields, frames running fastest
    """
    domain = lumen.domain
    cell_force, face_force = _forces(lumen, velocity, fluid, timing)
    weights = face_weights(domain, lumen.weights)
    matrix = sparse.csr_array(domain.divergence @ sparse.diags_array(weights) @ domain.gradient)
    solution = EllipticSolver(matrix, domain.cells, rtol=rtol).solve(
        domain.divergence @ (weights[:, None] * face_force)
    )
    values = solution.values
    values = values - lumen.openings[lumen.reference].pressure(values, cell_force)
    fields = np.moveaxis(velocity.reshape(-1, domain.size, 3), 0, -1)
    planes = lumen.openings.items()
    return LumenPressure(
        values,
        cell_force,
        face_force,
        {label: plane.pressure(values, cell_force) for label, plane in planes}
        | {lumen.reference: np.zeros(len(fields.T))},
        {label: plane.flux(fields) for label, plane in planes},
        {label: plane.peak_speed(fields) for label, plane in planes},
        np.linalg.norm(fields, axis=1).max(axis=0),
        float(solution.residual.max()),
        solution.iterations,
    )


def _forces(lumen: Lumen, velocity: Floats, fluid: Fluid, timing: Timing | None) -> tuple[Floats, Floats]:
    samples, frames = velocity.shape[:2]
    cells = np.empty((lumen.domain.size, 3, samples * frames))
    faces = np.empty((sum(lumen.domain.face_counts), samples * frames))
    for sample in range(samples):
        rates = None
        if timing is not None:
            rates = time_derivative(velocity[sample], timing.step, periodic=timing.cyclic)
        for frame in range(frames):
            rate = None if rates is None else rates[frame]
            force = momentum_force(lumen.domain, velocity[sample, frame], fluid, acceleration=rate, fit=lumen.fit)
            cells[..., sample * frames + frame] = force.cells
            faces[..., sample * frames + frame] = force.faces
    return cells, faces
