"""Where an equation holds: a box of named axes, or the voxels of a mask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from voxfield.errors import InputError, SettingsError
from voxfield.pde.problem.formula import parse_constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.artifacts import LabelMap
    from voxfield.pde.problem.operator import Array

TIME = "t"
MOST_AXES = 3


class Axis(NamedTuple):
    """One axis of a box: [low, high] in its unit."""

    name: str
    low: float
    high: float
    unit: str
    periodic: bool = False

    @property
    def length(self) -> float:
        """high - low."""
        return self.high - self.low


@dataclass(frozen=True)
class Box:
    """A product of intervals; time is the last axis, where there is one, and is named t."""

    axes: tuple[Axis, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def timed(self) -> bool:
        """Whether the last axis is time."""
        return self.axes[-1].name == TIME

    @property
    def space(self) -> tuple[Axis, ...]:
        """All axes but time."""
        return self.axes[:-1] if self.timed else self.axes

    @property
    def faces(self) -> tuple[str, ...]:
        """Labels of the faces that need a condition, such as `x-` and `x+`."""
        return tuple(f"{axis.name}{end}" for axis in self.space if not axis.periodic for end in "-+")


@dataclass(frozen=True)
class VoxelRegion:
    """The voxels of a mask, in millimetres.

    mask   (x, y, z)  where the equation holds
    walls  (x, y, z)  labels of the voxels around it; 0 is a wall without a name
    grid              affine of both
    """

    mask: NDArray[np.bool_]
    walls: NDArray[np.integer[Any]]
    affine: Array
    names: tuple[str, ...] = ("x", "y", "z")

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along the voxel axes."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    @cached_property
    def centres(self) -> tuple[Array, Array, Array]:
        """World coordinates (n,) of the voxels, mm, in C order of the mask."""
        x, y, z = (np.argwhere(self.mask) @ self.affine[:3, :3].T + self.affine[:3, 3]).T
        return x, y, z


def read_box(statement: Mapping[str, Any]) -> Box:
    """The box that a problem file describes."""
    given: Mapping[str, Any] = statement["box"]
    if not 1 <= len(given) <= MOST_AXES:
        raise SettingsError(f"the box has {len(given)} axes ({', '.join(given) or 'none'}); expected 1 to {MOST_AXES}")
    for name in given:
        if not re.fullmatch("[a-z]", name) or name == TIME:
            raise SettingsError(f"axis {name!r}: expected one small letter other than t, which is time")
    if statement["unknown"] in (*given, TIME):
        raise SettingsError(f"the unknown is called {statement['unknown']!r} like an axis; give it another name")
    unit = _unit(statement, "length_unit", "the axes of the box")
    periodic = [key for key, value in statement["boundary"].items() if value == "periodic" and key in given]
    axes = [_axis(name, ends, unit, periodic=name in periodic) for name, ends in given.items()]
    if statement["time"] is not None:
        axes.append(_axis(TIME, statement["time"], _unit(statement, "time_unit", "time"), periodic=False))
    return Box(tuple(axes))


def read_region(mask: LabelMap | None, walls: LabelMap | None) -> VoxelRegion:
    """The mask and its walls, on one grid. Raises InputError for a mask without voxels."""
    from voxfield.artifacts import require_grid

    if mask is None:
        raise InputError("the problem is posed on voxels, but no mask was given; give the input `mask`")
    inside = np.asarray(mask.data) > 0
    if not inside.any():
        raise InputError("the mask has no voxel above 0: there is nowhere to solve; give another mask", file=mask.file)
    if walls is None:
        return VoxelRegion(inside, np.zeros(inside.shape, dtype=np.uint8), np.asarray(mask.affine))
    require_grid(walls, mask.grid, "the mask")
    return VoxelRegion(inside, np.asarray(walls.data), np.asarray(mask.affine))


def _axis(name: str, ends: tuple[Any, Any], unit: str, *, periodic: bool) -> Axis:
    low, high = (parse_constant(end, what=f"axis {name}") for end in ends)
    if not low < high:
        raise SettingsError(f"axis {name} is [{low:g}, {high:g}]; its low end must lie below its high end")
    return Axis(name, low, high, unit, periodic)


def _unit(statement: Mapping[str, Any], key: str, what: str) -> str:
    unit = str(statement[key]).strip()
    if not unit:
        raise SettingsError(
            f'no unit is stated for {what}; write, say, `{key}: m`, or `{key}: "1"` where there is none'
        )
    return unit
