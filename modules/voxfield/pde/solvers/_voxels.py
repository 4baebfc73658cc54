"""`finite_volume` on the voxels of a mask: c lap u, or div(a grad u), with an absorption, between labelled walls.

The second grid halves every voxel. On walls that lie on voxel faces its difference tells the error, as on a box; that a
curved wall is a staircase, it does not tell, since both grids have the same stairs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem._domain import VoxelRegion
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem.operator import Array
from voxfield.pde.voxels import VoxelPoisson
from voxfield.pde.voxels._walls import wall_faces

if TYPE_CHECKING:
    from voxfield.pde._domain import VoxelDomain

ORDER = 2
MOST_VOXELS = 8_000_000  # of the finer grid; beyond it there is no estimate
RTOL = 1e-10


class VoxelSolved(NamedTuple):
    """values (n,) in C order of the mask; error from two grids, None where the second would be too large."""

    values: Array
    error: float | None
    residual: float
    iterations: int


def fits(problem: PosedProblem) -> str:
    """Why voxels can not be solved on; "" where they can."""
    operator = problem.operator
    second = [term for term in operator.terms if sum(term.order) and term.coefficient]
    isotropic = {term.order for term in second} in (set(), {(2, 0, 0), (0, 2, 0), (0, 0, 2)})
    if not operator.linear or operator.complex_valued or not isotropic or len({t.coefficient for t in second}) > 1:
        return "on voxels it takes c lap u or div(a grad u), and a multiple of u"
    if bool(second) == (operator.conductivity is not None):
        return "on voxels it takes either c lap u or div(a grad u)"
    return ""


def solve_on_voxels(problem: PosedProblem) -> VoxelSolved:
    """Solve on the voxels, and on those of half their size.

    Raises InputError for a wall without a condition, one that no face carries, and data that do not balance.
    """
    region = problem.domain
    if not isinstance(region, VoxelRegion):
        raise TypeError("the problem is posed on a box")
    values, residual, iterations = _solve(problem, region)
    if 8 * len(values) > MOST_VOXELS:
        return VoxelSolved(values, None, residual, iterations)
    fine, _, _ = _solve(problem, _halved(region))
    box = np.zeros([2 * n for n in region.mask.shape])
    box[_twice(region.mask)] = fine
    x, y, z = region.mask.shape
    means = box.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5))[region.mask]
    error = float(np.abs(means - values).max()) / (1 - 2.0**-ORDER)
    return VoxelSolved(values, error, residual, iterations)


def _solve(problem: PosedProblem, region: VoxelRegion) -> tuple[Array, float, int]:
    coefficient, own = _coefficients(problem, region)
    sign = 1.0 if isinstance(coefficient, np.ndarray) else float(np.sign(coefficient))
    solver = VoxelPoisson(
        region.mask, region.spacing, walls=region.walls, rtol=RTOL, coefficient=sign * coefficient,
        conditions={int(label): c.kind for label, c in problem.conditions.items() if c.kind != "free"},
        absorption=-sign * own,
    )  # fmt: skip
    _require_conditions(problem, region, solver.domain)
    boundary = {}
    for label, faces in solver.faces.items():
        condition = problem.conditions[str(label)]
        index = faces.centres / np.array(region.spacing)
        world = (index @ region.affine[:3, :3].T + region.affine[:3, 3]).T
        value = condition.function(*world)
        boundary[label] = value * solver.coefficient[faces.cells] if condition.kind == "neumann" else value
    found = solver.solve(-sign * problem.forcing(*region.centres), boundary).require(RTOL)
    return found.values, float(np.max(found.residual)), found.iterations


def _coefficients(problem: PosedProblem, region: VoxelRegion) -> tuple[Array | float, float]:
    """c, or a at the voxels; and the factor of u."""
    second = [complex(t.coefficient).real for t in problem.operator.terms if sum(t.order) and t.coefficient]
    own = sum(complex(term.coefficient).real for term in problem.operator.terms if not any(term.order))
    conductivity = problem.operator.conductivity
    return (second[0] if conductivity is None else conductivity(*region.centres)), own


def _require_conditions(problem: PosedProblem, region: VoxelRegion, domain: VoxelDomain) -> None:
    """Every label that the mask touches has a condition; `free` insulates."""
    touched = wall_faces(domain, region.walls, np.unique(region.walls).tolist())
    missing = [str(label) for label, faces in touched.items() if len(faces) and str(label) not in problem.conditions]
    if missing:
        raise InputError(
            f"the mask touches walls of label {', '.join(missing)}, which has no boundary condition; give one, such as "
            f'`"{missing[0]}": {{neumann: 0}}` for an insulated wall'
        )


def _halved(region: VoxelRegion) -> VoxelRegion:
    """The same region on voxels of half the size."""
    affine = region.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.full(3, 0.25)
    affine[:3, :3] /= 2
    return replace(region, mask=_twice(region.mask), walls=_twice(region.walls), affine=affine)


def _twice(box: Array) -> Array:
    for axis in range(3):
        box = np.repeat(box, 2, axis=axis)
    return box
