"""From what a problem file says to a posed problem: formulas read, conditions completed, contradictions told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.errors import InputError, SettingsError, about
from voxfield.pde.problem._compatibility import require_balance
from voxfield.pde.problem._conditions import box_conditions, region_conditions
from voxfield.pde.problem._domain import Axis, Box, VoxelRegion, read_box, read_region
from voxfield.pde.problem._functions import Function, on_grid
from voxfield.pde.problem._manufactured import left_side
from voxfield.pde.problem._observations import Observations, read_observations
from voxfield.pde.problem._posed import PosedProblem
from voxfield.pde.problem._terms import Terms, read_operator
from voxfield.pde.problem.formula import Formula, parse
from voxfield.pde.problem.operator import Operator

if TYPE_CHECKING:
    from voxfield.artifacts import GridField, LabelMap, Problem, Table

GIVEN = "given"  # instead of a formula: the values are an input of the stage
UNITY = 1e-9  # how far a manufactured solution may miss its period, over its largest value


def pose(
    problem: Problem,
    *,
    mask: LabelMap | None = None,
    walls: LabelMap | None = None,
    grids: Mapping[str, GridField] | None = None,
    observations: Table | None = None,
) -> PosedProblem:
    """Read a problem and judge it.

    mask, walls  domain and wall labels of a problem on voxels, one grid
    grids        "forcing", "initial", "conductivity" -> values of what the file says is `given`
    observations measured values of the unknown, where the file says `observations: given`

    Raises SettingsError and InputError that say what is missing or contradicts itself, with the name of the file.
    """
    with about(problem.file):
        if problem.statement["voxels"]:
            return _on_voxels(problem.statement, read_region(mask, walls))
        return _on_box(problem.statement, grids or {}, observations)


def exact(problem: Problem) -> Formula | None:
    """The manufactured solution, for those who judge; None where nobody knows the solution."""
    given = problem.statement["manufactured"]
    names = ("x", "y", "z") if problem.statement["voxels"] else read_box(problem.statement).names
    with about(problem.file):
        return None if given is None else parse(given, names, what="manufactured")


def _on_box(statement: Mapping[str, Any], grids: Mapping[str, GridField], observations: Table | None) -> PosedProblem:
    box = read_box(statement)
    observed = _observed(statement, box, observations)
    terms = read_operator(statement["operator"], statement["unknown"], box.names)
    solution = _solution(statement, box.names)
    conductivity = _conductivity(terms, box.space, grids)
    operator = replace(terms.operator, conductivity=conductivity)
    if box.timed:
        _require_evolution(operator)
    forcing = _function("forcing", statement["forcing"], box.axes, grids)
    if solution is not None:
        forcing = Function("the forcing", box.names, _manufactured(operator, solution, conductivity))
        _require_period(solution, box)
    posed = PosedProblem(
        unknown=statement["unknown"],
        unit=statement["unit"],
        domain=box,
        operator=operator,
        forcing=forcing,
        conditions=box_conditions(statement["boundary"], box, operator, solution, observed=observed is not None),
        initial=_initial(statement, box, solution, grids),
        observations=observed,
    )
    require_balance(posed)
    return posed


def _on_voxels(statement: Mapping[str, Any], region: VoxelRegion) -> PosedProblem:
    if statement["box"] or statement["time"] is not None:
        raise SettingsError(
            "a problem is posed on voxels or on a box with times; keep one of `voxels` and `box`, `time`"
        )
    terms = read_operator(statement["operator"], statement["unknown"], region.names)
    solution = _solution(statement, region.names)
    axes = [Axis(name, -np.inf, np.inf, "mm") for name in region.names]
    conductivity = _conductivity(terms, tuple(axes), {})
    operator = replace(terms.operator, conductivity=conductivity)
    forcing = _function("forcing", statement["forcing"], tuple(axes), {})
    if solution is not None:
        forcing = Function("the forcing", region.names, _manufactured(operator, solution, conductivity))
    conditions = region_conditions(statement["boundary"], region, solution)
    return PosedProblem(statement["unknown"], statement["unit"], region, operator, forcing, conditions)


def _observed(statement: Mapping[str, Any], box: Box, table: Table | None) -> Observations | None:
    if (statement["observations"] is None) != (table is None):
        said, lacking = ("`observations: given`", "input") if table is None else ("the input observations", "key")
        raise SettingsError(f"there is {said}, but no such {lacking}; give both or none")
    return None if table is None else read_observations(table, box)


def _solution(statement: Mapping[str, Any], names: tuple[str, ...]) -> Formula | None:
    if statement["manufactured"] is None:
        return None
    for key in ("forcing", "initial"):
        if statement[key] not in (None, 0.0):
            raise SettingsError(f"{key} is given, but follows from the manufactured solution; drop one of them")
    return parse(statement["manufactured"], names, what="manufactured")


def _manufactured(operator: Operator, solution: Formula, conductivity: Function | None) -> Formula:
    rule = None if conductivity is None else conductivity.rule
    if rule is not None and not isinstance(rule, Formula):
        raise SettingsError("a manufactured problem needs its conductivity as a formula; it is given as a grid")
    return left_side(operator, solution, rule)


def _conductivity(terms: Terms, space: tuple[Axis, ...], grids: Mapping[str, GridField]) -> Function | None:
    return None if terms.conductivity is None else _function("conductivity", terms.conductivity, space, grids)


def _function(what: str, given: str | float, axes: tuple[Axis, ...], grids: Mapping[str, GridField]) -> Function:
    names = tuple(axis.name for axis in axes)
    if given != GIVEN:
        if what in grids:
            raise SettingsError(f"the input {what} was given, but the problem has its own; write `{what}: given`")
        return Function(f"the {what}", names, parse(given, names, what=what))
    if what not in grids:
        raise SettingsError(f"{what} is `given`, but there is no such input; give the input `{what}`")
    return on_grid(f"the {what}", grids[what], axes)


def _initial(
    statement: Mapping[str, Any], box: Box, solution: Formula | None, grids: Mapping[str, GridField]
) -> Function | None:
    given = statement["initial"]
    if not box.timed:
        if given is not None:
            raise SettingsError("an initial value is given, but there is no time; write `time: [0, 1]`")
        return None
    if solution is not None:
        first = np.asarray(box.axes[-1].low)
        return Function("the initial value", box.names[:-1], lambda *space: solution(*space, first))
    if given is None:
        raise SettingsError("there is time but no initial value; write, say, `initial: sin(x)`")
    return _function("initial", given, box.space, grids)


def _require_evolution(operator: Operator) -> None:
    try:
        operator.split_time()
    except ValueError as error:
        raise SettingsError(f"the box has time: {error}") from None


def _require_period(solution: Formula, box: Box) -> None:
    """A manufactured solution has to repeat along periodic axes."""
    rng = np.random.default_rng(0)
    inside = {axis.name: axis.low + axis.length * rng.random(50) for axis in box.axes}
    for axis in box.axes:
        if axis.periodic:
            ends = [solution(*(inside | {axis.name: np.full(50, end)}).values()) for end in (axis.low, axis.high)]
            gap = np.abs(ends[1] - ends[0]).max()
            if not gap <= UNITY * max(1.0, np.abs(ends[0]).max()):
                raise InputError(
                    f"axis {axis.name} is periodic, but the manufactured solution differs by {gap:.3g} between "
                    f"{axis.low:g} and {axis.high:g}"
                )
