"""Laplace coordinates between two walls, and lengths along their gradient.

u is harmonic, 0 on the inner wall, 1 on the outer one, and all other faces are insulated. The field lines of T =
grad u / |grad u| join the walls without crossing, so that the thickness at a point is the length of the line through
it: L0 + L1 with

    T . grad L0 = 1, L0 = 0 on the inner wall;    -T . grad L1 = 1, L1 = 0 on the outer wall

(Yezzi and Prince, IEEE Trans. Med. Imaging 22, 2003; upwind differences as theirs). Where they iterate over the grid,
T is taken from one-sided differences to the lower neighbours here, so that every voxel depends on lower ones only and
one triangular system gives all lengths exactly. A wall lies on the faces of its voxels, half a voxel from the unknowns,
and not at their centres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve_triangular

from voxfield.pde.voxels._poisson import VoxelPoisson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Ints, VoxelDomain
    from voxfield.pde.voxels._walls import WallFaces

FLAT = 1e-7  # fall over a voxel that is not told from the error of the linear solve
ASIDE = 1e-6  # share of a slope that is none: where the line is parallel to an axis, its neighbours aside are no matter


class Coordinates(NamedTuple):
    """Coordinates and lengths in a region; NaN where a field line is missing.

    domain                 the n voxels of the region
    values      (n,)       u, between 0 and 1; NaN in parts that do not touch both walls
    from_inner  (n,)       L0, in the unit of the spacing
    to_outer    (n,)       L1
    residual               relative, of the linear system
    iterations
    staircase              standard deviation of a length whose ends lie anywhere within a voxel at both walls
    """

    domain: VoxelDomain
    values: Floats
    from_inner: Floats
    to_outer: Floats
    residual: float
    iterations: int
    staircase: float

    @property
    def thickness(self) -> Floats:
        """L0 + L1 (n,)."""
        return self.from_inner + self.to_outer


def laplace_coordinates(
    labels: NDArray[np.integer],
    region: int,
    inner: int,
    outer: int,
    spacing: tuple[float, float, float],
    *,
    rtol: float = 1e-10,
) -> Coordinates:
    """Coordinates in the voxels of one label (x, y, z), between the voxels of two others around them.

    Raises InputError for an empty region, and for a wall that does not touch it.
    """
    walls = {inner: 0.0, outer: 1.0}
    solver = VoxelPoisson(
        labels == region, spacing, walls=labels, conditions=dict.fromkeys(walls, "dirichlet"), rtol=rtol
    )
    solution = solver.solve(0.0, walls)
    domain, faces = solver.domain, solver.faces
    values = np.where(_joined(solver.solver.components, faces), solution.values, np.nan)
    return Coordinates(
        domain,
        values,
        path_lengths(domain, values, faces[inner]),
        path_lengths(domain, 1 - values, faces[outer]),
        float(solution.residual[0]),
        solution.iterations,
        float(np.sqrt(sum((wall.steps**2).mean() for wall in faces.values()) / 12)),
    )


def _joined(components: Ints, faces: dict[int, WallFaces]) -> NDArray[np.bool_]:
    """Whether the part of each voxel (n,) touches both walls."""
    touched = [np.isin(components, components[wall.cells]) for wall in faces.values()]
    return np.logical_and(*touched)


def path_lengths(domain: VoxelDomain, height: Floats, base: WallFaces) -> Floats:
    """Length (n,) of the line of steepest descent from each voxel to the base, where the height (n,) is 0.

    NaN where the height is, where it is flat, as deep inside an insulated pocket, and where the line leads there.
    """
    slopes, lower, steps = (np.stack(found, axis=1) for found in zip(*_descents(domain, height, base), strict=True))
    length = np.linalg.norm(slopes, axis=1, keepdims=True)
    slopes = np.where(slopes > ASIDE * length, slopes, 0.0)
    falls = length[:, 0] * min(domain.spacing) > FLAT
    pull = np.divide(slopes, length * steps, out=np.zeros_like(slopes), where=falls[:, None])
    rows, axes = np.nonzero((pull > 0) & (lower < domain.size))
    order = np.argsort(height, kind="stable")  # NaN last
    place = np.empty_like(order)
    place[order] = np.arange(domain.size)
    diagonal = np.where(falls, pull.sum(axis=1), 1.0)
    system = sparse.csr_array(
        (
            np.concatenate([-pull[rows, axes], diagonal]),
            (np.concatenate([place[rows], place]), np.concatenate([place[lower[rows, axes]], place])),
        ),
        shape=(domain.size, domain.size),
    )
    lengths = spsolve_triangular(system, np.where(falls, 1.0, np.nan)[order], lower=True)
    return np.asarray(lengths[place])


def _descents(domain: VoxelDomain, height: Floats, base: WallFaces) -> list[tuple[Floats, Ints, Floats]]:
    """For each axis the steeper fall (n,), 0 for none, the unknown it leads to, n for the base, and the way there."""
    found = []
    for axis, spacing in enumerate(domain.spacing):
        sides = [_fall(domain, height, base, axis, sign, spacing) for sign in (-1, 1)]
        (below, first, near), (above, second, far) = sides
        up = above > below
        found.append((np.where(up, above, below), np.where(up, second, first), np.where(up, far, near)))
    return found


def _fall(
    domain: VoxelDomain, height: Floats, base: WallFaces, axis: int, sign: int, spacing: float
) -> tuple[Floats, Ints, Floats]:
    """Fall (n,) towards one side, 0 where it rises or ends at an insulated wall."""
    beside = domain.neighbour((sign * (axis == 0), sign * (axis == 1), sign * (axis == 2)))
    steps = np.full(domain.size, spacing)
    lower = np.append(height, np.inf)[beside]
    here = base.cells[(base.axes == axis) & (base.signs == sign)]
    lower[here], steps[here] = 0.0, spacing / 2
    fall = (height - lower) / steps
    return np.where(fall > 0, fall, 0.0), beside, steps
