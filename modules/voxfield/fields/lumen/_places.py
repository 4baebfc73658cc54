"""Points of a lumen in its window of fine cells: what the cells around them hold, linear in between."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from voxfield.errors import InputError
from voxfield.fields._prior import Int, Real
from voxfield.fields._setting import Window

CORNERS = np.array(list(product((0, 1), repeat=3)))


@dataclass(frozen=True)
class Places:
    """Points of a lumen.

    index    (p, 3) in fine cells of the window
    cells    (c, 3) cells told around them
    corners  (p, 8) numbers of those cells
    weights  (p, 8) trilinear, 0 for corners where nothing is told; sum 1
    """

    index: Real
    cells: Int
    corners: Int
    weights: Real

    def __len__(self) -> int:
        return len(self.index)

    def of_faces(self, faces: Real) -> Real:
        """(p, 3) face velocities (3, *box), each component linear between its faces; at a centre the mean of two."""
        along = [self.index.T + 0.5 * (np.arange(3) == axis)[:, None] for axis in range(3)]
        parts = [map_coordinates(f, at, order=1, mode="grid-wrap") for f, at in zip(faces, along, strict=True)]
        return np.stack(parts, axis=1)

    def of_cells(self, values: Real) -> Real:
        """(p, 3) values (c, 3) of the cells."""
        mean: Real = np.einsum("pk,pkc->pc", self.weights, values[self.corners])
        return mean

    def of_window(self, values: Real) -> Real:
        """(p,) values (x, y, z) of the window."""
        return np.asarray(map_coordinates(values, self.index.T, order=1, mode="nearest"))


def find_places(points: Real, window: Window, told: NDArray[np.bool_]) -> Places:
    """Places of points (p, 3), mm in the world, each in a cell where something is told (x, y, z)."""
    index = np.asarray(window.grid.index(points) - window.start, dtype=np.float64)
    _require_inside(points, np.rint(index).astype(np.int64), told)
    low = np.floor(index).astype(np.int64)
    around = low[:, None] + CORNERS
    share = np.prod(np.where(CORNERS == 1, (index - low)[:, None], 1 - (index - low)[:, None]), axis=2)
    last = np.array(told.shape) - 1
    held = told[tuple(np.moveaxis(np.clip(around, 0, last), 2, 0))] & ((around >= 0) & (around <= last)).all(axis=2)
    share = np.where(held, share, 0.0)
    cells, number = np.unique(around[held], axis=0, return_inverse=True)
    corners = np.zeros(held.shape, dtype=np.int64)
    corners[held] = number.ravel()
    return Places(index, cells, corners, share / share.sum(axis=1, keepdims=True))


def _require_inside(points: Real, nearest: Int, told: NDArray[np.bool_]) -> None:
    last = np.array(told.shape) - 1
    within = ((nearest >= 0) & (nearest <= last)).all(axis=1)
    outside = np.flatnonzero(~(within & told[tuple(np.clip(nearest, 0, last).T)]))
    if len(outside):
        x, y, z = points[outside[0]]
        raise InputError(
            f"{len(outside)} of {len(points)} points lie outside the lumen, the first is point {outside[0]} at "
            f"({x:.4g}, {y:.4g}, {z:.4g}) mm; expected points in cells of the lumen"
        )
