"""Measured values of the unknown: a table with a column for every axis, `value`, and `sd`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfield.errors import InputError

if TYPE_CHECKING:
    from voxfield.artifacts import Table
    from voxfield.pde.problem._domain import Box
    from voxfield.pde.problem.operator import Array

VALUE, SD = "value", "sd"


@dataclass(frozen=True)
class Observations:
    """points (n, axes), values (n,), and the standard deviation of their noise, one for all."""

    points: Array
    values: Array
    sd: float


def read_observations(table: Table, box: Box) -> Observations:
    """Observations inside a box. Raises InputError for gaps, places outside, and noise that differs or is not known."""
    columns = [np.asarray(table.column(name), dtype=float) for name in (*box.names, VALUE, SD)]
    rows = np.stack(columns, axis=1)
    if not len(rows):
        raise InputError("holds no observation; expected one row or more", file=table.file)
    if not np.isfinite(rows).all():
        raise InputError(
            f"row {int(np.argwhere(~np.isfinite(rows))[0, 0]) + 1} has a gap; fill or drop it", file=table.file
        )
    for axis, places in zip(box.axes, columns, strict=False):
        outside = (places < axis.low) | (places > axis.high)
        if outside.any():
            raise InputError(
                f"row {int(np.argmax(outside)) + 1} lies at {axis.name} = {places[np.argmax(outside)]:g}; expected "
                f"{axis.low:g} to {axis.high:g}",
                file=table.file,
            )
    sd = columns[-1]
    if sd.min() <= 0 or np.ptp(sd) > 0:
        raise InputError(f"its sd goes from {sd.min():g} to {sd.max():g}; expected one number above 0", file=table.file)
    return Observations(rows[:, :-2], rows[:, -2], float(sd[0]))
