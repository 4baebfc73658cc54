"""The stage `pde.solve`: one problem, solved by one solver, with an estimate of its error."""

from typing import Annotated, NamedTuple

from annotated_types import Ge

from voxfield.artifacts import GridField, LabelMap, Metrics, Model, PartialImage, Picture, Problem, Table
from voxfield.errors import SettingsError, about
from voxfield.stage import Context, Resources, stage


class Solution(NamedTuple):
    """What `pde.solve` makes: a field for a problem on a box, a volume for one on voxels."""

    metrics: Metrics
    picture: Picture
    field: GridField | None
    volume: PartialImage | None


@stage(resources=Resources(mem_mb=4000, runtime=30), version=1)
def solve(
    problem: Problem,
    mask: LabelMap | None = None,
    walls: LabelMap | None = None,
    forcing: GridField | None = None,
    initial: GridField | None = None,
    conductivity: GridField | None = None,
    observations: Table | None = None,
    model: Model | None = None,
    *,
    solver: str = "finite_volume",
    points: tuple[Annotated[int, Ge(4)], ...] = (),
    samples: tuple[Annotated[int, Ge(2)], ...] = (),
    ctx: Context = Context(),
) -> Solution:
    """Solve the problem of a file, and tell how far off the solution may be.

    problem       the equation, its domain, and what is known (docs/pde.md)
    mask          (x, y, z) where a problem on voxels holds, labels above 0; no shear
    walls         (x, y, z) labels of the voxels around the mask, of which the file says the conditions; same grid
    forcing       right side on a grid, where the file says `forcing: given`; it has the axes of the problem
    initial       first value on a grid of the axes of space, where the file says `initial: given`
    conductivity  a of div(a grad u) on a grid of the axes of space, where the file says `div(a grad u): given`
    observations  measured u, where the file says `observations: given`: a column for every axis, `value`, `sd`
    model         of `pde.operator_train`, which the solver `learned` starts from
    metrics       solver, points of its grid and of a second one, `error_estimate` (the largest error, from the
                  difference of both; Richardson 1911), `residual` (relative), iterations; `error_l2`, relative to the
                  manufactured solution where the problem has one, which the solver does not see
    picture       u along its axes
    field         on a box: u on equidistant points of every axis, both ends among them; its standard deviation where
                  the solver tells one
    volume        (x, y, z) on voxels: u in the mask, NaN elsewhere

    A solution that is known up to a constant has mean zero on the grid of its solver.

    Settings
    solver: chebyshev, fourier, finite_volume, etd, radau, gp_hm, learned, or that of an installed package
    points: of the solver's grid along each axis; none leaves the choice to the solver
    samples: points of the field along each axis; none for 2001 on one axis, 257 on each of two, 65 of three, 33 of four

    Raises InputError and SettingsError for a problem that is not well posed, one that the solver does not fit, and one
    whose frequencies the grid can not carry, with a grid that would.
    """
    from voxfield.pde import _solution as solution
    from voxfield.pde.problem import VoxelRegion, pose

    given = {"forcing": forcing, "initial": initial, "conductivity": conductivity}
    grids = {name: field for name, field in given.items() if field is not None}
    posed = pose(problem, mask=mask, walls=walls, grids=grids, observations=observations)
    with about(problem.file):
        if isinstance(posed.domain, VoxelRegion):
            if model is not None:
                raise SettingsError("a model is of problems on boxes; drop the input `model`")
            if points or samples:
                raise SettingsError("points and samples are of problems on boxes; voxels are a grid of their own")
            return Solution(*solution.on_voxels(problem, posed, solver))
        return Solution(*solution.on_box(problem, posed, solver, points, samples, ctx, model))
