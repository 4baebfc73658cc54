"""A volume against itself, some voxels on: pairs of views instead of copies."""

from collections.abc import Sequence
from itertools import product
from types import EllipsisType

Slices = tuple[EllipsisType | slice, ...]


def views(step: Sequence[int]) -> tuple[Slices, Slices]:
    """Index a (..., x, y, z) array so that `array[second]` holds, place by place, the neighbours of `array[first]`.

    step  (3,) voxels along x, y, z from a voxel to its neighbour
    """
    first = tuple(slice(max(0, -s), -s if s > 0 else None) for s in step)
    second = tuple(slice(max(0, s), s if s < 0 else None) for s in step)
    return (..., *first), (..., *second)


HALF = tuple(step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0))
"""Steps to 13 of the 26 neighbours: one of each opposite pair."""
