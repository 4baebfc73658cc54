"""The classical discretisation: -div(a grad u) = f on the points of a grid, zero on the faces of a box.

Points are the centres of finite volumes; a face between two of them conducts with the harmonic mean of their a (exact
across an interface in one dimension). Along every axis the first point lies on the face of the box, where u is known,
or half a spacing inside (cells), or a whole one (nodes, that on the face left out); so does the last. Second order in
the spacing where a is smooth, first where it jumps (Samarskii, The Theory of Difference Schemes, 2001, chapter 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from voxfield.errors import InputError
from voxfield.pde.voxels._network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde.problem import Box
    from voxfield.pde.problem.operator import Array

TOLERANCE = 1e-6  # of a spacing, by which points may be off
HARMONIC = 2.0


@dataclass(frozen=True)
class LineLayout:
    """Where the points of one axis lie.

    count  of points
    step   between two of them
    gaps   from the first point down to the face of the box and from the last up to it, in steps: 0, 1/2 or 1
    """

    count: int
    step: float
    gaps: tuple[float, float]

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Which points are not on a face (count,)."""
        return (np.arange(self.count) >= (self.gaps[0] == 0)) & (
            np.arange(self.count) < self.count - (self.gaps[1] == 0)
        )

    @property
    def wall(self) -> tuple[float, float]:
        """Conductance of the first and the last unknown towards the face, for a = 1, per unit of volume."""
        low, high = (1 / (gap or 1.0) / self.step**2 for gap in self.gaps)
        return low, high

    @property
    def smallest_eigenvalue(self) -> float:
        """Of -d^2/dx^2 on the unknowns."""
        n = int(self.unknown.sum())
        diagonal = np.full(n, 2 / self.step**2)
        diagonal[0] += self.wall[0] - 1 / self.step**2
        diagonal[-1] += self.wall[1] - 1 / self.step**2
        off = np.full(n - 1, -1 / self.step**2)
        return float(eigvalsh_tridiagonal(diagonal, off, select="i", select_range=(0, 0))[0])


@dataclass(frozen=True)
class DarcyGrid:
    """Points of a box, one layout an axis; u is zero on its faces."""

    lines: tuple[LineLayout, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis, those on faces included."""
        return tuple(line.count for line in self.lines)

    @cached_property
    def unknown(self) -> NDArray[np.bool_]:
        """Which points carry an unknown, like the grid."""
        return reduce(np.logical_and.outer, (line.unknown for line in self.lines))

    @property
    def smallest_eigenvalue(self) -> float:
        """A lower bound of the spectrum of -div(a grad) is this times the least a: no face conducts less than that."""
        return sum(line.smallest_eigenvalue for line in self.lines)

    def network(self, conductivity: Array) -> Network:
        """-div(a grad) on the unknowns, in C order; conductivity a > 0 like the grid."""
        number = np.full(self.shape, -1)
        number[self.unknown] = np.arange(self.unknown.sum())
        leak = np.zeros(self.shape)
        faces: list[tuple[Array, Array, Array]] = []
        for axis, line in enumerate(self.lines):
            first, second = (_along(axis, slice(None, -1)), _along(axis, slice(1, None)))
            a, b = conductivity[first], conductivity[second]
            through = HARMONIC * a * b / (a + b) / line.step**2
            inner = self.unknown[first] & self.unknown[second]
            faces.append((number[first][inner], number[second][inner], through[inner]))
            leak[first] += np.where(~self.unknown[second], through, 0.0)
            leak[second] += np.where(~self.unknown[first], through, 0.0)
            for end, gap in zip((0, -1), line.gaps, strict=True):
                if gap:
                    leak[_along(axis, end)] += conductivity[_along(axis, end)] / gap / line.step**2
        lower, upper, through = (np.concatenate(parts) for parts in zip(*faces, strict=True))
        cells = np.argwhere(self.unknown) @ np.eye(len(self.shape), 3, dtype=int)
        return Network(cells, lower, upper, through, leak[self.unknown])

    def solve(self, conductivity: Array, forcing: Array) -> Array:
        """u like the grid, by a sparse factorisation; forcing like the grid."""
        from scipy.sparse.linalg import spsolve

        return self.dense(spsolve(self.network(conductivity).matrix.tocsc(), forcing[self.unknown]))

    def dense(self, values: Array) -> Array:
        """Values (n,) of the unknowns on the whole grid, zero on the faces."""
        field = np.zeros(self.shape)
        field[self.unknown] = values
        return field


def darcy_grid(axes: Sequence[Array], box: Box) -> DarcyGrid:
    """The grid of equidistant points on a box. Raises InputError where they lie otherwise."""
    lines = []
    for axis, points in zip(box.axes, axes, strict=True):
        step = (points[-1] - points[0]) / (len(points) - 1)
        spacing = np.diff(points)
        if len(points) < 4 or np.abs(spacing - step).max() > TOLERANCE * step:
            raise InputError(
                f"the points on {axis.name} are {len(points)}, {spacing.min():g} to {spacing.max():g} apart; expected "
                "four or more at one distance"
            )
        gaps = [round(2 * gap) / 2 for gap in ((points[0] - axis.low) / step, (axis.high - points[-1]) / step)]
        places = axis.low + gaps[0] * step, axis.high - gaps[1] * step
        off = max(abs(points[0] - places[0]), abs(points[-1] - places[1]))
        if max(gaps) > 1 or off > TOLERANCE * step:
            raise InputError(
                f"the points on {axis.name} run from {points[0]:g} to {points[-1]:g}, {step:g} apart, on the box "
                f"[{axis.low:g}, {axis.high:g}]; expected the first and last on its ends, or half or one spacing inside"
            )
        lines.append(LineLayout(len(points), float(step), (gaps[0], gaps[1])))
    return DarcyGrid(tuple(lines))


def _along(axis: int, which: slice | int) -> tuple[slice | int, ...]:
    """Index of a part of one axis, all of the axes before it."""
    return (*[slice(None)] * axis, which)
