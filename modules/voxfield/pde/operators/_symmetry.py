"""Exchanges and reflections of the axes that map a problem onto itself, and its solutions onto solutions.

Where the box, the points of the grid and the forcing are the same after one, a pair remains a pair after it: more to
train on, for free. A grid that begins on a face and ends before the opposite one has no reflection.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from voxfield.pde.problem import Box
    from voxfield.pde.problem.operator import Array


class Symmetry(NamedTuple):
    """`order` of the axes of space, then the axes that are `reflected`."""

    order: tuple[int, ...]
    reflected: tuple[int, ...]

    def __call__(self, fields: Tensor) -> Tensor:
        """Fields (..., *grid)."""
        first = fields.ndim - len(self.order)
        moved = fields.permute(*range(first), *(first + axis for axis in self.order))
        return moved.flip([first + axis for axis in self.reflected])


def symmetries(axes: Sequence[Array], box: Box, source: Array) -> list[Symmetry]:
    """All of them, the identity first; `source` like the grid."""
    from_low = [points - axis.low for points, axis in zip(axes, box.axes, strict=True)]
    from_high = [(axis.high - points)[::-1] for points, axis in zip(axes, box.axes, strict=True)]
    found = []
    for order, mirrored in product(permutations(range(len(axes))), product((False, True), repeat=len(axes))):
        places = [(from_high if flip else from_low)[axis] for axis, flip in zip(order, mirrored, strict=True)]
        reflected = tuple(int(axis) for axis in np.flatnonzero(mirrored))
        if all(_equal(place, own) for place, own in zip(places, from_low, strict=True)) and _equal(
            np.flip(source.transpose(order), reflected), source
        ):
            found.append(Symmetry(order, reflected))
    return found


def _equal(first: Array, second: Array) -> bool:
    return first.shape == second.shape and np.allclose(first, second, rtol=0, atol=1e-9 * np.abs(second).max())
