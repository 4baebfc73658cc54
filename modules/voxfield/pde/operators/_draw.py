"""Random fields of two materials, and the solutions that go with them.

The distribution of Li et al. (arXiv 2010.08895, section 5.2): a Gaussian field of covariance (-L + 9)^-2 on the unit
box, L the Laplacian with insulated faces, without its mean, is cut at zero; here by its cosine series, so that one draw
is one function on any grid. Solutions come from a grid `refine` times as fine, of which one point in so many is kept:
what is learnt has less discretisation error than what a solver on the kept points would make.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from voxfield.pde.operators._pairs import Pairs

if TYPE_CHECKING:
    from voxfield.pde.operators._problem import DarcyProblem
    from voxfield.pde.problem import Box
    from voxfield.pde.problem.operator import Array

SHIFT = 9.0
WAVES = 48  # half waves along an axis


def draw_labels(axes: Sequence[Array], box: Box, count: int, rng: np.random.Generator) -> Array:
    """Fields (count, *grid) of 0 and 1."""
    k = np.arange(WAVES)
    squares = reduce(np.add.outer, [np.square(np.pi * k)] * len(axes))
    fields = np.where(squares > 0, rng.standard_normal((count, *squares.shape)) / (squares + SHIFT), 0.0)
    for axis, points in zip(box.axes, axes, strict=True):
        cosines = np.cos(np.pi * np.outer((points - axis.low) / axis.length, k)) * np.where(k > 0, np.sqrt(2), 1)
        fields = np.tensordot(fields, cosines, axes=(1, 1))  # the next axis moves up to 1, the new one to the end
    return np.asarray(fields > 0, dtype=float)


def draw_pairs(
    problem: DarcyProblem,
    points: Sequence[int],
    count: int,
    rng: np.random.Generator,
    *,
    materials: tuple[float, float],
    refine: int,
) -> Pairs:
    """Conductivities of two values and their solutions.

    points     along each axis, both faces of the box among them
    materials  conductivity where the label is 0 and 1
    refine     spacings of the solver in one of the pairs
    """
    fine = [
        np.linspace(axis.low, axis.high, refine * (n - 1) + 1) for axis, n in zip(problem.box.axes, points, strict=True)
    ]
    low, high = materials
    fields = np.where(draw_labels(fine, problem.box, count, rng) > 0, high, low)
    grid, source = problem.grid(fine), problem.source(fine)
    solutions = np.stack([grid.solve(one, source) for one in fields])
    kept = (slice(None), *[slice(None, None, refine)] * len(fine))
    return Pairs(tuple(axis[::refine] for axis in fine), fields[kept], solutions[kept])
