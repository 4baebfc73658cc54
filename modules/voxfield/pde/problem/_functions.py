"""Functions of a posed problem: formulas and given grids behind one call that refuses values that are not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.problem.formula import Formula

if TYPE_CHECKING:
    from voxfield.artifacts import GridField
    from voxfield.pde.problem._domain import Axis
    from voxfield.pde.problem.operator import Array

SLACK = 1e-9  # of an axis, by which a given grid may miss an end


@dataclass(frozen=True)
class Function:
    """A function of coordinates, one array an axis of `names`; they broadcast, and the values have their common shape.

    what  for messages, such as "the forcing"
    rule  a formula, or whatever computes the values
    """

    what: str
    names: tuple[str, ...]
    rule: Formula | Callable[..., Array]

    def __call__(self, *coordinates: Array) -> Array:
        """Values. Raises InputError with the place of the first that is not finite."""
        values = np.asarray(self.rule(*coordinates), dtype=np.float64)
        if not np.isfinite(values).all():
            where = tuple(np.argwhere(~np.isfinite(values))[0])
            places = [np.broadcast_to(c, values.shape)[where] for c in coordinates]
            at = ", ".join(f"{name} = {place:.6g}" for name, place in zip(self.names, places, strict=True))
            text = f" ({self.rule.text})" if isinstance(self.rule, Formula) else ""
            raise InputError(f"{self.what}{text} is {values[where]} at {at}; expected finite numbers everywhere")
        return values

    @property
    def zero(self) -> bool:
        """Whether it is known to vanish."""
        return isinstance(self.rule, Formula) and self.rule.zero


def on_grid(what: str, field: GridField, axes: Sequence[Axis]) -> Function:
    """Cubic splines through a given grid, which must span the axes."""
    names = tuple(axis.name for axis in axes)
    if tuple(field.axes) != names:
        raise InputError(f"has the axes {', '.join(field.axes)}; {what} needs {', '.join(names)}", file=field.file)
    if not np.isfinite(field.values).all():
        bad = int((~np.isfinite(field.values)).sum())
        raise InputError(
            f"{what} has {bad:,} values that are not finite (NaN); expected finite numbers", file=field.file
        )
    for axis in axes:
        points = field.axes[axis.name]
        if (
            len(points) < 2
            or points[0] > axis.low + SLACK * axis.length
            or points[-1] < axis.high - SLACK * axis.length
        ):
            raise InputError(
                f"{what} is given on {axis.name} = {points[0]:g} to {points[-1]:g} ({len(points)} points); "
                f"expected at least {axis.low:g} to {axis.high:g}",
                file=field.file,
            )
    return Function(what, names, Spline(tuple(field.axes.values()), field.values))


class Spline:
    """Cubic splines (of lower degree where points are few) through values on a grid, `points` one array an axis."""

    def __init__(self, points: Sequence[Array], values: Array) -> None:
        from scipy.interpolate import NdBSpline, make_interp_spline

        knots, degrees = [], []
        for number, nodes in enumerate(points):
            through = make_interp_spline(nodes, values, k=min(3, len(nodes) - 1), axis=number)
            values = np.moveaxis(through.c, 0, number)
            knots.append(through.t)
            degrees.append(through.k)
        self._spline = NdBSpline(tuple(knots), values, tuple(degrees))

    def __call__(self, *coordinates: Array) -> Array:
        """Values at coordinates that broadcast together."""
        return np.asarray(self._spline(np.stack(np.broadcast_arrays(*coordinates), axis=-1)))
