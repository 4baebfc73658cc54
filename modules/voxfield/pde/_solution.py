"""A posed problem to the outputs of `pde.solve`: field or volume, numbers, picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from voxfield.artifacts import GridField, Metrics, PartialImage, Picture, Problem
from voxfield.errors import InputError, SettingsError
from voxfield.pde._canvas import with_unit
from voxfield.pde._figure import Row, plane_figure
from voxfield.pde._grid_figure import solution_figure
from voxfield.pde.problem import PosedProblem, VoxelRegion, exact
from voxfield.pde.solvers import solver as find_solver
from voxfield.pde.solvers._estimate import sample_axes, solve_twice

if TYPE_CHECKING:
    from voxfield.artifacts import Model
    from voxfield.context import Context
    from voxfield.pde.problem.operator import Array

Outputs: TypeAlias = tuple[Metrics, Picture, GridField | None, PartialImage | None]
VOXEL_SOLVER = "finite_volume"
LEVELS = 8  # level lines of a picture


def on_box(
    problem: Problem,
    posed: PosedProblem,
    solver: str,
    points: Sequence[int],
    samples: Sequence[int],
    ctx: Context,
    model: Model | None = None,
) -> Outputs:
    """Solve on two grids, and sample."""
    chosen = find_solver(solver, model)
    _require_fit(solver, chosen.fits(posed))
    at = sample_axes(posed, samples)
    try:
        found = solve_twice(chosen, posed, points, at, ctx)
    except InputError as error:
        raise InputError(f"solver {solver}: {error.message}", file=error.file) from None
    solved, axes = found.solved, posed.box.axes
    field = GridField(
        dict(zip(posed.box.names, at, strict=True)), solved.values, solved.standard_deviation,
        name=posed.unknown, unit=posed.unit, units={axis.name: axis.unit for axis in axes},
    )  # fmt: skip
    sd = solved.standard_deviation
    metrics = {
        "problem": title_of(problem), "solver": solver, "points": solved.points, "second_points": found.second,
        "error_estimate": found.error, "residual": solved.residual, "iterations": solved.iterations,
        "largest": float(np.abs(solved.values).max()), "largest_sd": None if sd is None else float(sd.max()),
        "facts": dict(solved.facts),
    } | _judged(problem, posed, np.ix_(*at), solved.values)  # fmt: skip
    return Metrics(metrics), solution_figure(field, f"{title_of(problem)} ({solver})"), field, None


def on_voxels(problem: Problem, posed: PosedProblem, solver: str) -> Outputs:
    """Solve on voxels and on halved ones."""
    from voxfield.pde.solvers import _voxels as voxels

    region = posed.domain
    if not isinstance(region, VoxelRegion):
        raise TypeError("the problem is posed on a box")
    _require_fit(solver, voxels.fits(posed) if solver == VOXEL_SOLVER else f"on voxels there is {VOXEL_SOLVER} alone")
    found = voxels.solve_on_voxels(posed)
    box = np.full(region.mask.shape, np.nan)
    box[region.mask] = found.values
    metrics = {
        "problem": title_of(problem), "solver": solver, "voxels": len(found.values), "error_estimate": found.error,
        "residual": found.residual, "iterations": found.iterations, "largest": float(np.abs(found.values).max()),
    } | _judged(problem, posed, region.centres, found.values)  # fmt: skip
    low, high = float(found.values.min()), float(found.values.max())
    label = with_unit(posed.unknown, posed.unit)
    row = Row(f"{title_of(problem)}: {label}", box, np.linspace(low, high, LEVELS + 2)[1:-1].tolist())
    picture = plane_figure([row], region.spacing, region.mask.astype(float))
    return Metrics(metrics), picture, None, PartialImage(box.astype(np.float32), region.affine, unit=posed.unit)


def title_of(problem: Problem) -> str:
    """What a problem is called."""
    return str(problem.statement["title"] or problem.statement["operator"])


def _require_fit(solver: str, why_not: str) -> None:
    if why_not:
        raise SettingsError(f"solver {solver} does not fit this problem: {why_not}")


def _judged(problem: Problem, posed: PosedProblem, places: Sequence[Array], values: Array) -> dict[str, Any]:
    """Errors against a manufactured solution, without the mean where that is not determined."""
    formula = exact(problem)
    if formula is None:
        return {"error_l2": None, "error_largest": None}
    truth = formula(*places)
    error = values - truth
    if not posed.determined:
        error, truth = error - error.mean(), truth - truth.mean()
    return {
        "error_l2": float(np.linalg.norm(error) / (np.linalg.norm(truth) or 1.0)),
        "error_largest": float(np.abs(error).max()),
    }
