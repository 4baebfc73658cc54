"""Which faces of a lumen are wall and which are openings: the rule that fields and pressure share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxfield.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NO_FLUID, INTERIOR, WALL, FIRST_OPENING = 0, -1, 1, 2


def face_labels(
    lumen: NDArray[np.bool_], openings: NDArray[np.integer]
) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
    """Label the faces between voxels, axis by axis.

    lumen     (x, y, z) bool, the cells that hold fluid
    openings  (x, y, z) integer: 0 elsewhere, 1 wall voxels, k >= 2 the caps of opening k, which lie outside
              the lumen
    returns   (x+1, y, z), (x, y+1, z), (x, y, z+1) int16: 0 no lumen cell beside the face, -1 between two
              lumen cells, 1 wall, k >= 2 opening k

    A boundary face is open where the voxel on its outer side carries k >= 2; on the edge of the field of
    view, where the lumen voxel itself does. All other boundary faces are wall.
    """
    import numpy as np

    inside = np.asarray(lumen, dtype=bool)
    marks = np.asarray(openings)
    if inside.ndim != 3 or marks.shape != inside.shape:
        raise InputError(f"lumen has shape {inside.shape}, openings {marks.shape}; expected one grid (x, y, z)")
    marks = np.where(marks >= FIRST_OPENING, marks, WALL).astype(np.int16)
    x, y, z = (np.moveaxis(_along_first(*_to_front(inside, marks, axis)), 0, axis) for axis in range(3))
    return np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(z)


def _to_front(
    inside: NDArray[np.bool_], marks: NDArray[np.int16], axis: int
) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
    import numpy as np

    return np.moveaxis(inside, axis, 0), np.moveaxis(marks, axis, 0)


def _along_first(inside: NDArray[np.bool_], marks: NDArray[np.int16]) -> NDArray[np.int16]:
    """Labels of the faces across the first axis; `marks` holds the label that a voxel gives to a face "
    "beside it."""
    import numpy as np

    faces = np.full((inside.shape[0] + 1, *inside.shape[1:]), NO_FLUID, dtype=np.int16)
    below, above = inside[:-1], inside[1:]
    inner = faces[1:-1]
    inner[below & above] = INTERIOR
    inner[below & ~above] = marks[1:][below & ~above]
    inner[above & ~below] = marks[:-1][above & ~below]
    faces[0][inside[0]] = marks[0][inside[0]]
    faces[-1][inside[-1]] = marks[-1][inside[-1]]
    return faces
