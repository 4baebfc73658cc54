"""Betti numbers of small volumes from their boundary matrices: exact, and slow."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int, int]


def betti_by_rank(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """b_k = cells_k - rank d_k - rank d_(k+1) of the union of closed voxel cubes, over the field of two elements.

    In space no homology has torsion, so the field does not matter. A cell is named by the doubled coordinates of
    its middle: odd along the axes in which it extends.
    """
    cells: set[Cell] = set()
    for x, y, z in np.argwhere(mask):
        cells |= {(2 * x + 1 + a, 2 * y + 1 + b, 2 * z + 1 + c) for a, b, c in product((-1, 0, 1), repeat=3)}
    by_dimension: list[list[Cell]] = [[], [], [], []]
    for cell in cells:
        by_dimension[sum(c % 2 for c in cell)].append(cell)
    ranks = [0] + [_boundary_rank(by_dimension[k], by_dimension[k - 1]) for k in (1, 2, 3)] + [0]
    b0, b1, b2 = (len(by_dimension[k]) - ranks[k] - ranks[k + 1] for k in range(3))
    return b0, b1, b2


def _boundary_rank(cells: list[Cell], faces: list[Cell]) -> int:
    """Rank of the boundary map; each column is an integer whose bits are the faces of a cell."""
    number = {face: place for place, face in enumerate(faces)}
    pivots: dict[int, int] = {}
    for cell in cells:
        column = 0
        for axis in range(3):
            if cell[axis] % 2:
                for side in (-1, 1):
                    face = (*cell[:axis], cell[axis] + side, *cell[axis + 1 :])
                    column ^= 1 << number[face]
        while column:
            top = column.bit_length()
            if top not in pivots:
                pivots[top] = column
                break
            column ^= pivots[top]
    return len(pivots)
