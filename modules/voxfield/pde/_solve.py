"""The stage `pde.solve`: one problem, solved by one solver, with an estimate of its error."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge

from voxfield.artifacts import GridField, Metrics, Picture, Problem
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfield.pde.problem import PosedProblem
    from voxfield.pde.problem.operator import Array
    from voxfield.pde.solvers._estimate import Estimated


class Solution(NamedTuple):
    """What `pde.solve` makes."""

    field: GridField
    metrics: Metrics
    picture: Picture


@stage(resources=Resources(mem_mb=4000, runtime=30), version=1)
def solve(
    problem: Problem,
    forcing: GridField | None = None,
    initial: GridField | None = None,
    conductivity: GridField | None = None,
    *,
    solver: str = "finite_volume",
    points: tuple[Annotated[int, Ge(4)], ...] = (),
    samples: tuple[Annotated[int, Ge(2)], ...] = (),
    ctx: Context = Context(),
) -> Solution:
    """Solve the problem of a file on a box, and tell how far off the solution may be.

    problem       the equation, its domain, and what is known (docs/pde.md)
    forcing       right side on a grid, where the file says `forcing: given`; it has the axes of the problem
    initial       first value on a grid of the axes of space, where the file says `initial: given`
    conductivity  a of div(a grad u) on a grid of the axes of space, where the file says `div(a grad u): given`
    field         u on equidistant points of every axis, both ends among them; its standard deviation where the solver
                  tells one
    metrics       solver, points of its grid and of a second one, `error_estimate` (the largest error, from the
                  difference of both; Richardson 1911), `residual` (relative), iterations; `error_l2`, relative to the
                  manufactured solution where the problem has one, which the solver does not see
    picture       u along its axes

    A solution that is known up to a constant has mean zero on the grid of its solver.

    Settings
    solver: chebyshev, fourier, finite_volume, etd, gp_hm, or that of an installed package
    points: of the solver's grid along each axis; none leaves the choice to the solver
    samples: points of the field along each axis; none for 2001 on one axis, 257 on each of two, 65 of three, 33 of four

    Raises InputError and SettingsError for a problem that is not well posed, one that the solver does not fit, and one
    whose frequencies the grid can not carry, with a grid that would.
    """
    from voxfield.pde._grid_figure import solution_figure
    from voxfield.pde.problem import pose
    from voxfield.pde.solvers import solver as find_solver
    from voxfield.pde.solvers._estimate import sample_axes, solve_twice

    given = {"forcing": forcing, "initial": initial, "conductivity": conductivity}
    posed = pose(problem, grids={name: field for name, field in given.items() if field is not None})
    chosen = find_solver(solver)
    unfit = chosen.fits(posed)
    if unfit:
        raise SettingsError(f"solver {solver} does not fit this problem: {unfit}", file=problem.file)
    at = sample_axes(posed, samples)
    try:
        found = solve_twice(chosen, posed, points, at, ctx)
    except InputError as error:
        raise InputError(f"solver {solver}: {error.message}", file=error.file or problem.file) from None
    field = GridField(
        dict(zip(posed.box.names, at, strict=True)), found.solved.values, found.solved.standard_deviation,
        name=posed.unknown, unit=posed.unit, units={axis.name: axis.unit for axis in posed.box.axes},
    )  # fmt: skip
    title = problem.statement["title"] or str(problem.statement["operator"])
    metrics = _metrics(title, solver, found) | _judged(problem, posed, at, found)
    return Solution(field, Metrics(metrics), solution_figure(field, f"{title} ({solver})"))


def _metrics(title: str, solver: str, found: "Estimated") -> dict[str, Any]:
    import numpy as np

    sd = found.solved.standard_deviation
    return {
        "problem": title, "solver": solver, "points": found.solved.points, "second_points": found.second,
        "error_estimate": found.error, "residual": found.solved.residual, "iterations": found.solved.iterations,
        "largest": float(np.abs(found.solved.values).max()), "largest_sd": None if sd is None else float(sd.max()),
        "facts": dict(found.solved.facts),
    }  # fmt: skip


def _judged(
    problem: Problem, posed: "PosedProblem", at: "Sequence[Array]", found: "Estimated"
) -> dict[str, float | None]:
    """Errors against a manufactured solution, without the mean where that is not determined."""
    import numpy as np

    from voxfield.pde.problem import exact

    formula = exact(problem)
    if formula is None:
        return {"error_l2": None, "error_largest": None}
    truth = formula(*np.ix_(*at))
    error = found.solved.values - truth
    if not posed.determined:
        error, truth = error - error.mean(), truth - truth.mean()
    return {
        "error_l2": float(np.linalg.norm(error) / (np.linalg.norm(truth) or 1.0)),
        "error_largest": float(np.abs(error).max()),
    }
