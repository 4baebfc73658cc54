"""Radiographs as coronal planes: (x, 1, z), columns along x, rows along z."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sides(NamedTuple):
    """Where the picture's right and lower edges lie in the patient; by default as radiographs are shown.

    right  "L", the patient's left, or "R"
    down   "F", the feet, or "H", the head
    """

    right: str = "L"
    down: str = "F"


def radiograph_affine(
    shape: Sequence[int], row_mm: float, column_mm: float, sides: Sides = Sides()
) -> NDArray[np.float64]:
    """Voxel (column, 0, row) to RAS+ mm, the middle of the picture at the origin.

    shape  (rows, columns)      row_mm, column_mm  between rows and between columns
    """
    step = np.array(
        [column_mm if sides.right == "R" else -column_mm, column_mm, row_mm if sides.down == "H" else -row_mm]
    )
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = -step * (np.array([shape[1], 1, shape[0]]) - 1) / 2
    return affine
