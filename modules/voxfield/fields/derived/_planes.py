"""Flow through planes.

A plane is a slab: with psi a ramp from 0 to 1 across it, Q = integral(u . grad psi), which is the flow through the
plane averaged over the slab, and for a divergence-free velocity without flow through the wall the flow through each
cross-section. The slope of psi is the cubic B-spline, four voxels wide, whose sums over a lattice hardly depend on
where and how the plane lies (Unser, IEEE Signal Processing Magazine 16, 1999). As a sum over voxels this needs no
interpolation and no outline of the lumen, and is linear in the velocity. On the faces of a staggered grid the same sum,
of flux times difference of psi, is the flow to the last digit wherever and however the plane is laid (summation by
parts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from voxfield.artifacts import FaceFlux, Grid, Table
from voxfield.errors import InputError
from voxfield.fields.derived._samples import Velocities

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEAR = 2.0
"""Voxels that the lumen may be away from the centre of its plane."""
PLACES = ("x_mm", "y_mm", "z_mm")
NORMALS = ("nx", "ny", "nz")


@dataclass(frozen=True)
class Plane:
    """Where flow is measured.

    name       of the plane or its branch
    along_mm   way along the branch, mm; None for a plane on its own
    centre     (3,) mm, world
    normal     (3,) unit, in the direction in which flow counts as positive
    radius_mm  beyond which nothing belongs to the plane; None for all that is connected
    branch     number of the branch that it cuts, and no other one; None for a plane on its own
    """

    name: str
    along_mm: float | None
    centre: Floats
    normal: Floats
    radius_mm: float | None = None
    branch: int | None = None


@dataclass(frozen=True)
class Slab:
    """The voxels of a plane.

    members  (m,) numbers of the voxels
    weight   (m,) mm^2: voxel volume times slope of the ramp
    """

    members: NDArray[np.int64]
    weight: Floats


def planes_from(table: Table) -> list[Plane]:
    """Planes of a table with columns name, x_mm, y_mm, z_mm, nx, ny, nz and, optionally, radius_mm."""
    missing = [name for name in PLACES + NORMALS if name not in table.columns]
    if missing or not len(table):
        found = f"lacks the columns {', '.join(missing)}" if missing else "has no row"
        raise InputError(f"{found}; expected a plane a row: {', '.join(PLACES + NORMALS)}", file=table.file)
    return [_plane_of(row, number, table) for number, row in enumerate(table.rows(), start=1)]


def _plane_of(row: dict[str, Any], number: int, table: Table) -> Plane:
    """One row; its number counts from 1."""
    reach = row.get("radius_mm")
    try:
        centre, normal = (np.array([float(row[key]) for key in keys]) for keys in (PLACES, NORMALS))
        radius = None if reach is None else float(reach)
        finite = bool(np.isfinite([*centre, *normal, radius or 0.0]).all())
    except (TypeError, ValueError):
        finite = False
    if not finite:
        raise InputError(f"row {number} is {row}; expected finite numbers but for the name", file=table.file)
    length = float(np.linalg.norm(normal))
    if length == 0:
        raise InputError(f"row {number} has the normal 0, 0, 0; expected a direction", file=table.file)
    if radius is not None and radius <= 0:
        raise InputError(f"row {number} has the radius {radius:g} mm; expected more than 0, or none", file=table.file)
    return Plane(str(row.get("name", number)), None, centre, normal / length, radius)


def slab_of(plane: Plane, velocities: Velocities, owner: NDArray[np.int64] | None = None) -> Slab | None:
    """The connected part of the lumen that is nearest the centre of a plane; None where the lumen is not near.

    owner  (n,) the branch that each voxel belongs to, which keeps the neighbour out where two branches part
    """
    grid = velocities.grid
    points = grid.world(velocities.voxels)
    unit = _thickness(plane, grid)
    height = (points - plane.centre) @ plane.normal
    away = np.linalg.norm(points - plane.centre, axis=1)
    near = np.abs(height) < 2 * unit
    if plane.radius_mm is not None:
        near &= np.square(away) - np.square(height) <= plane.radius_mm**2
    if owner is not None and plane.branch is not None:
        near &= owner == plane.branch
    if not near.any() or away[near].min() > NEAR * grid.spacing.max():
        return None
    box = np.zeros(velocities.mask.shape, dtype=bool)
    box[tuple(velocities.voxels[near].T)] = True
    parts, _ = label(box, generate_binary_structure(3, 2))
    part = parts[tuple(velocities.voxels.T)]
    members = np.flatnonzero(part == part[np.where(near, away, np.inf).argmin()])
    weight = grid.voxel_volume_mm3 * _slope(height[members] / unit) / unit
    return Slab(members, weight)


def flow(slab: Slab, plane: Plane, velocities: Velocities) -> Floats:
    """(s, t) flow, ml/s: 1 m/s through 1 mm^2 is 1 ml/s."""
    inside = velocities.inside[:, slab.members] * slab.weight
    through = velocities.values[:, :, slab.members].astype(np.float64) @ plane.normal
    return np.asarray(np.einsum("stm,sm->st", through, inside))


def area(slab: Slab, velocities: Velocities) -> Floats:
    """(s,) mm^2 of the cross-section."""
    return np.asarray(velocities.inside[:, slab.members] @ slab.weight)


def conserved_flow(slab: Slab, plane: Plane, velocities: Velocities, flux: FaceFlux, scale: float) -> float:
    """Flow of face fluxes, ml/s, the same through every plane of a branch; `scale` brings their unit to m/s."""
    grid = flux.grid
    member = np.zeros(flux.mask.shape, dtype=bool)
    member[tuple((velocities.voxels[slab.members] + velocities.start).T)] = True
    height = (grid.world(np.indices(flux.mask.shape).reshape(3, -1).T) - plane.centre) @ plane.normal
    ramp = _ramp(height.reshape(flux.mask.shape) / _thickness(plane, grid))
    total = 0.0
    for axis, faces in enumerate((flux.u, flux.v, flux.w)):
        inner = np.take(faces, np.arange(1, faces.shape[axis] - 1), axis)
        lower = [np.take(volume, np.arange(volume.shape[axis] - 1), axis) for volume in (member, flux.mask)]
        upper = [np.take(volume, np.arange(1, volume.shape[axis]), axis) for volume in (member, flux.mask)]
        counted = (lower[0] | upper[0]) & lower[1] & upper[1]
        total += float((inner * np.diff(ramp, axis=axis))[counted].sum() * _face_area(grid, axis))
    return total * scale


def _thickness(plane: Plane, grid: Grid) -> float:
    """How far a voxel reaches along the normal, mm."""
    return float(np.abs(plane.normal @ grid.affine[:3, :3]).sum())


def _slope(height: Floats) -> Floats:
    """The cubic B-spline, zero beyond 2."""
    t = np.minimum(np.abs(height), 2)
    return np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, (2 - t) ** 3 / 6)


def _ramp(height: Floats) -> Floats:
    """Its integral, from 0 at -2 to 1 at 2."""
    t = np.minimum(np.abs(height), 2)
    above = np.where(t < 1, 0.5 + 2 * t / 3 - t**3 / 3 + t**4 / 8, 1 - (2 - t) ** 4 / 24)
    return np.where(height > 0, above, 1 - above)


def _face_area(grid: Grid, axis: int) -> float:
    return grid.voxel_volume_mm3 / float(grid.spacing[axis])
