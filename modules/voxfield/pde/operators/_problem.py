"""The problem whose solutions are learnt: Darcy flow, div(a grad u) = f on a box, u zero on its faces, a varying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.artifacts import GridField, Problem
from voxfield.errors import SettingsError
from voxfield.pde.operators._darcy import DarcyGrid, darcy_grid
from voxfield.pde.problem import PosedProblem, pose
from voxfield.pde.problem._domain import Box, read_box

if TYPE_CHECKING:
    from voxfield.pde.problem.operator import Array


@dataclass(frozen=True)
class DarcyProblem:
    """All of a problem but its conductivity.

    statement  as its file says it
    posed      with some conductivity, which is not used
    """

    statement: Mapping[str, Any]
    posed: PosedProblem

    @property
    def box(self) -> Box:
        """Where it holds."""
        return self.posed.box

    def grid(self, axes: Sequence[Array]) -> DarcyGrid:
        """The classical discretisation on some points."""
        return darcy_grid(axes, self.box)

    def source(self, axes: Sequence[Array]) -> Array:
        """f of -div(a grad u) = f on a grid."""
        shape = tuple(len(points) for points in axes)
        return np.broadcast_to(-self.posed.forcing(*np.ix_(*axes)), shape)

    def field(self, axes: Sequence[Array], values: Array, sample: Array | None = None) -> GridField:
        """A solution, or several along a first axis `sample`."""
        names = dict(zip(self.box.names, axes, strict=True))
        units = {axis.name: axis.unit for axis in self.box.axes}
        if sample is not None:
            names, units = {"sample": sample, **names}, {"sample": "1", **units}
        return GridField(names, values, name=self.posed.unknown, unit=self.posed.unit, units=units)


def darcy_problem(problem: Problem) -> DarcyProblem:
    """The problem of a file. Raises SettingsError where it is no Darcy flow with values of zero on all faces."""
    if problem.statement["voxels"]:
        raise SettingsError("operators are learnt on boxes; the problem is posed on voxels", file=problem.file)
    box = read_box(problem.statement)
    ends = {axis.name: np.array([axis.low, axis.high]) for axis in box.axes}
    anything = GridField(
        ends, np.ones([2] * len(ends)), name="a", unit="1", units={axis.name: axis.unit for axis in box.axes}
    )
    posed = pose(problem, grids={"conductivity": anything})
    fault = misfit(posed)
    if fault:
        raise SettingsError(f"operators are learnt for Darcy flow, 'div(a grad u)': given; {fault}", file=problem.file)
    return DarcyProblem(problem.statement, posed)


def misfit(posed: PosedProblem) -> str:
    """Why a problem on a box is no Darcy flow with values of zero on all faces; "" where it is."""
    operator, box = posed.operator, posed.box
    walls = [f"axis {axis.name} is periodic" for axis in box.axes if axis.periodic]
    walls += [f"face {face} has another condition" for face in box.faces if not _held_at_zero(posed, face)]
    faults = (
        (operator.conductivity is None, "this operator has no such term"),
        (not operator.linear or any(term.coefficient for term in operator.terms), "this operator has other terms too"),
        (posed.observations is not None, "it has observations"),
        (len(box.axes) not in (2, 3) or box.timed, f"the box has the axes {', '.join(box.names)}, not 2 or 3 of space"),
        (bool(walls), f"{', '.join(walls)}; expected `{{dirichlet: 0}}`"),
        (posed.forcing.zero, "the forcing is zero, and so is every solution"),
    )
    return next((fault for wrong, fault in faults if wrong), "")


def _held_at_zero(posed: PosedProblem, face: str) -> bool:
    condition = posed.conditions.get(face)
    return condition is not None and condition.kind == "dirichlet" and condition.function.zero
