"""A posed problem: what solvers are given. No file, no text, and no truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from voxfield.pde.problem._domain import Box, VoxelRegion
from voxfield.pde.problem._functions import Function
from voxfield.pde.problem._observations import Observations
from voxfield.pde.problem.operator import Operator

Kind: TypeAlias = Literal["dirichlet", "neumann", "free"]


@dataclass(frozen=True)
class Condition:
    """What is known on a face.

    kind      "dirichlet" (u), "neumann" (du/dn along the outward normal), "free" (nothing: where a flow leaves)
    function  its value, in the coordinates of all axes; 0 where the face is free
    """

    kind: Kind
    function: Function


@dataclass(frozen=True)
class PosedProblem:
    """An equation with everything that determines its solution.

    unknown, unit  name and unit of u
    domain         box or voxels
    operator       the left side, in the axes of the domain; its conductivity is a `Function` of the axes of space
    forcing        the right side
    conditions     face of the box (`x-`), or label of the wall map as text -> condition; of all faces that need one
    initial        u at the first time; None where there is no time
    observations   measured values of u; None where there are none. Where there are, faces may be free
    """

    unknown: str
    unit: str
    domain: Box | VoxelRegion
    operator: Operator
    forcing: Function
    conditions: Mapping[str, Condition]
    initial: Function | None = None
    observations: Observations | None = None

    @property
    def box(self) -> Box:
        """The domain of a problem on a box."""
        if not isinstance(self.domain, Box):
            raise TypeError("the problem is posed on voxels")
        return self.domain

    @property
    def determined(self) -> bool:
        """Whether more than the slope of u is known: a value on the boundary, at the beginning, or in the equation."""
        valued = any(condition.kind == "dirichlet" for condition in self.conditions.values())
        own = any(not any(term.order) and term.coefficient for term in self.operator.terms)
        measured = self.initial is not None or self.observations is not None
        return valued or own or measured or not self.operator.linear
