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
    fault = _misfit(posed)
    if fault:
        raise SettingsError(f"operators are learnt for Darcy flow, 'div(a grad u)': given; {fault}", file=problem.file)
    return DarcyProblem(problem.statement, posed)


def _misfit(posed: PosedProblem) -> str:
    operator = posed.operator
    if operator.conductivity is None:
        return "this operator has no such term"
    if not operator.linear or any(term.coefficient for term in operator.terms):
        return "this operator has other terms too"
    if len(posed.box.axes) not in (2, 3) or posed.box.timed:
        return f"the box has the axes {', '.join(posed.box.names)}, expected 2 or 3 of space"
    held = [face for face in posed.box.faces if face in posed.conditions]
    periodic = [axis.name for axis in posed.box.axes if axis.periodic]
    if periodic:
        return f"axis {periodic[0]} is periodic, expected `{{dirichlet: 0}}` on all faces"
    for face in held:
        condition = posed.conditions[face]
        if condition.kind != "dirichlet" or not condition.function.zero:
            return f"face {face} has another condition than `{{dirichlet: 0}}`"
    return "the forcing is zero, and so is every solution" if posed.forcing.zero else ""
