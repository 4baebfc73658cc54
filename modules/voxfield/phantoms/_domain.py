"""From an anatomy to flow problems, and from the flow on fine voxels to the truth on coarse ones.

Three nested grids cover one field of view: voxels of the scan (edge h), of the flow (h / 2), and those on which
the flow is led to its Reynolds number (h). The ends are cut by planes between voxels of the scan, so that all
grids share them. Fluxes of fine faces add up to fluxes of coarse faces, hence coarse voxels balance mass as
exactly as fine ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from voxfield.phantoms._anatomy import Anatomy
from voxfield.phantoms._flow import PAD, Flow, Problem
from voxfield.phantoms._lattice import Bool, Lattice, Opening, Real, build_lattice
from voxfield.phantoms._lumen import End, beyond_ends, block_mean, cut_ends, grid_shape, level_on_grid, voxel_fractions

Scalar = TypeVar("Scalar", bound=np.generic)

FINER = 2
"""Voxels of the flow along the edge of a voxel of the scan."""


@dataclass(frozen=True)
class Domain:
    """The lumen on the grid of the flow, with its problems.

    fraction   (nx, ny, nz)  share of every voxel of the scan that is lumen
    ends       cuts in voxels of the scan, inlet first
    coarse     None where voxels of twice the edge close a throat
    """

    anatomy: Anatomy
    spacing_mm: float
    ends: tuple[End, ...]
    fraction: Real
    fine: Problem
    coarse: Problem | None


@dataclass(frozen=True)
class Truth:
    """The flow on the voxels of the scan, SI units, components along voxel axes.

    velocity   (nx, ny, nz, 3)  mean over the voxel, m/s, zero outside
    faces      three arrays, mean normal velocity through faces, m/s
    mask       (nx, ny, nz)  voxels that fluid flows through; a little more than the lumen, where the wall cuts voxels
    pressure   (nx, ny, nz)  Pa relative to the inlet plane, mean over the fluid of the voxel; 0 where there is none
    flows      per opening, m^3/s, positive into the vessel
    drops      inlet minus outlet pressure per outlet, Pa
    """

    velocity: Real
    faces: tuple[Real, Real, Real]
    mask: Bool
    pressure: Real
    flows: tuple[float, ...]
    drops: tuple[float, ...]


def build_domain(anatomy: Anatomy, spacing_mm: float, insets_mm: tuple[float, ...]) -> Domain:
    """Lumen and flow problems of an anatomy on voxels of the given edge; `insets_mm` as in `cut_ends`."""
    ends = cut_ends(anatomy, spacing_mm, insets_mm)
    shape = grid_shape(spacing_mm)
    coarse, _, _ = _problem(anatomy, shape, spacing_mm, ends)
    nx, ny, nz = shape
    finer = tuple(replace(end, plane=FINER * end.plane) for end in ends)
    fine, level, inside = _problem(anatomy, (FINER * nx, FINER * ny, FINER * nz), spacing_mm / FINER, finer)
    fraction = _cropped(voxel_fractions(level, inside, spacing_mm / FINER))
    return Domain(anatomy, spacing_mm, ends, block_mean(fraction, FINER), fine, coarse if _open(coarse) else None)


def _problem(
    anatomy: Anatomy, shape: tuple[int, int, int], spacing_mm: float, ends: tuple[End, ...]
) -> tuple[Problem, Real, Bool]:
    level, owner = level_on_grid(anatomy, shape, spacing_mm, PAD)
    beyond = beyond_ends(owner, ends, PAD)
    openings = [Opening(2, e.plane + PAD, e.outward, b) for e, b in zip(ends, beyond, strict=True)]
    lattice = build_lattice(level / spacing_mm, openings[0], tuple(openings[1:]))
    radius = anatomy.branches[0].radii[0] / spacing_mm
    shares = tuple(anatomy.branches[leaf].share for leaf in anatomy.leaves)
    return Problem(lattice, float(radius), float(np.pi * radius**2), shares), level, ~np.any(beyond, axis=0)


def _open(problem: Problem) -> bool:
    """Whether every outlet can be reached: coarse voxels may close a throat."""
    return all(ids.size > 0 for ids in problem.lattice.outlets)


def _cropped(padded: NDArray[Scalar]) -> NDArray[Scalar]:
    return padded[PAD:-PAD, PAD:-PAD, PAD:-PAD]


def coarse_truth(domain: Domain, flow: Flow, anatomy: Anatomy) -> Truth:
    """Sum the fine flow onto the voxels of the scan, in SI units; `anatomy` tells the inflow."""
    lattice = domain.fine.lattice
    edge_m = domain.spacing_mm / FINER * 1e-3
    speed = anatomy.inflow_m3_per_s / (domain.fine.area * edge_m**2)
    stress = anatomy.density_kg_per_m3 * speed**2
    dense = [_cropped(part) for part in lattice.scatter(flow.velocity * speed)]
    centers = [0.5 * (_ahead(part, axis) + _behind(part, axis)) for axis, part in enumerate(dense)]
    cells = _cropped(lattice.cells)
    velocity = np.stack([block_mean(np.where(cells >= 0, part, 0.0), FINER) for part in centers], axis=-1)
    zero = inlet_pressure(lattice, flow.pressure)
    values = np.where(cells >= 0, (flow.pressure[np.maximum(cells, 0)] - zero) * stress, 0.0)
    share = block_mean((cells >= 0).astype(np.float64), FINER)
    mask = share > 0
    pressure = np.where(mask, block_mean(values, FINER) / np.maximum(share, 1e-9), 0.0)
    leaving = [sign * flow.velocity[ids].sum() for ids, sign in zip(lattice.outlets, lattice.outlet_signs, strict=True)]
    area = edge_m**2 * speed
    entering = lattice.inlet_sign * flow.velocity[lattice.inlet].sum()
    flows = (float(entering * area), *(float(-q * area) for q in leaving))
    drops = tuple(float((zero - p) * stress) for p in flow.pressure[lattice.n_cells :])
    faces = (_summed(dense[0], 0), _summed(dense[1], 1), _summed(dense[2], 2))
    return Truth(velocity, faces, mask, pressure, flows, drops)


def inlet_pressure(lattice: Lattice, pressure: Real) -> float:
    """Mean pressure in the inlet plane, extrapolated from the two layers of voxels behind it."""
    i, j, k = np.nonzero((lattice.faces[2] >= lattice.n_free) & (lattice.faces[2] < lattice.n_faces))
    first = k if lattice.inlet_sign > 0 else k - 1
    one, two = lattice.cells[i, j, first], lattice.cells[i, j, first + lattice.inlet_sign]
    both = (one >= 0) & (two >= 0)
    return float(np.mean(1.5 * pressure[one[both]] - 0.5 * pressure[two[both]]))


def _ahead(faces: Real, axis: int) -> Real:
    return np.delete(faces, 0, axis=axis)


def _behind(faces: Real, axis: int) -> Real:
    return np.delete(faces, -1, axis=axis)


def _summed(fine: Real, axis: int) -> Real:
    """Mean normal velocity through coarse faces: every second plane of fine faces, blocks of 2 x 2."""
    planes = np.moveaxis(fine, axis, 0)[::FINER]
    n, a, b = planes.shape
    means = planes.reshape(n, a // FINER, FINER, b // FINER, FINER).mean(axis=(2, 4))
    return np.moveaxis(means, 0, axis)
