"""The stage `pde.operator_pairs`: random conductivities and the solutions of a Darcy problem, to learn from."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import GridField, Problem
from voxfield.errors import SettingsError
from voxfield.stage import Context, Resources, stage

Points = Annotated[int, Ge(4), Le(1025)]
Conductivity = Annotated[float, Gt(0)]


class OperatorPairs(NamedTuple):
    """What `pde.operator_pairs` makes."""

    inputs: GridField
    solutions: GridField


@stage(resources=Resources(mem_mb=4000, runtime=60), version=1)
def operator_pairs(
    problem: Problem,
    *,
    samples: Annotated[int, Ge(1), Le(100_000)] = 100,
    points: tuple[Points, ...] = (16, 16),
    materials: tuple[Conductivity, Conductivity] = (3.0, 12.0),
    refine: Annotated[int, Ge(1), Le(16)] = 4,
    ctx: Context = Context(),
) -> OperatorPairs:
    """Draw conductivities of two materials in random shapes, and solve a Darcy problem for each.

    problem    div(a grad u) = f on a box of 2 or 3 axes, u zero on its faces; `"div(a grad u)": given`
    inputs     a, along the axis `sample` and those of the box, both faces among the points
    solutions  u on the same points, from finite volumes on a finer grid

    Settings
    samples: how many
    points: along each axis of the box
    materials: the two conductivities; half of the box has each, on average
    refine: spacings of the solver's grid in one of the pairs' grid

    Shapes are those where a Gaussian field of covariance (-Laplacian + 9)^-2 is positive (Li et al. 2021).
    """
    import numpy as np

    from voxfield.pde.operators._draw import draw_pairs
    from voxfield.pde.operators._problem import darcy_problem

    darcy = darcy_problem(problem)
    if len(points) != len(darcy.box.axes):
        raise SettingsError(f"points has {len(points)} numbers; the box has the axes {', '.join(darcy.box.names)}")
    pairs = draw_pairs(darcy, points, samples, ctx.rng(), materials=materials, refine=refine)
    solutions = darcy.field(pairs.axes, pairs.solutions, np.arange(float(samples)))
    inputs = GridField(solutions.axes, pairs.inputs, name="a", unit="1", units=solutions.units)
    return OperatorPairs(inputs, solutions)
