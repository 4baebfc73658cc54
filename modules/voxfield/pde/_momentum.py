"""The right side of the pressure equation: b = -rho (du/dt + u . grad u) + mu lap u on interior faces.

Only the component of b across each face is needed, and it has to equal the difference quotient of the
pressure there. Hence, across a face normal to axis k, the term u_k du_k/dx_k is the difference of u_k^2 / 2
-- exact for what it stands for, and telescoping along the axis -- while the transverse terms and the
Laplacian are the mean of those at the two voxels, from the local fits of `_derivatives`.

Chosen by flows with known pressure (`benchmarks/pressure.py` prints the comparison): between inclined walls the
average of u . grad u has 1.4 times the error, the rotational form (gradient of u^2/2 less u x curl u) 1.8 times and
the divergence form 1.6 times, the last also 1.5 times the spread under noise that is not free of divergence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfield.pde._derivatives import LocalFit

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, VoxelDomain


@dataclass(frozen=True)
class Fluid:
    """An incompressible Newtonian fluid.

    density    kg/m^3
    viscosity  Pa s
    """

    density: float
    viscosity: float


@dataclass(frozen=True)
class Force:
    """The field b, pascal per metre.

    cells  (n, 3)  at the voxel centres, along the voxel axes
    faces  (f,)    across the interior faces
    """

    cells: Floats
    faces: Floats


def momentum_force(
    domain: VoxelDomain,
    velocity: Floats,
    fluid: Fluid,
    *,
    acceleration: Floats | None = None,
    fit: LocalFit | None = None,
) -> Force:
    """The force that the pressure gradient balances.

    velocity      (n, 3)  m/s, components along the voxel axes
    acceleration  (n, 3)  m/s^2, du/dt at a fixed point; None in steady flow
    fit                   of this domain, where it is at hand
    """
    gradient, laplacian = (fit or LocalFit(domain)).derivatives(velocity)
    products = velocity[:, :, None] * gradient  # u_d du_c/dx_d at [n, d, c]
    local = fluid.viscosity * laplacian
    if acceleration is not None:
        local = local - fluid.density * acceleration
    cells = local - fluid.density * products.sum(axis=1)
    faces = [_across(axis, domain, velocity, products, local, fluid.density) for axis in range(3)]
    return Force(cells, np.concatenate(faces))


def _across(
    axis: int, domain: VoxelDomain, velocity: Floats, products: Floats, local: Floats, density: float
) -> Floats:
    lower, upper = domain.faces[axis]
    square = velocity[:, axis] ** 2 / 2
    along = (square[upper] - square[lower]) / domain.spacing[axis]
    rest = local[:, axis] - density * (products[:, :, axis].sum(axis=1) - products[:, axis, axis])
    return np.asarray((rest[lower] + rest[upper]) / 2 - density * along)


def time_derivative(frames: Floats, step: float, *, periodic: bool) -> Floats:
    """Central differences in time; one-sided of second order at the ends, unless the frames are a cycle.

    frames   (t, ...)  at least 2
    step     seconds between frames
    """
    if periodic:
        return np.asarray((np.roll(frames, -1, axis=0) - np.roll(frames, 1, axis=0)) / (2 * step))
    return np.asarray(np.gradient(frames, step, axis=0, edge_order=2 if len(frames) > 2 else 1))
