"""A table of observations as arrays."""

from __future__ import annotations

import numpy as np

from voxfield.artifacts import Table
from voxfield.errors import InputError
from voxfield.pde.inverse._darcy import Observations

COLUMNS = ("x", "y", "value", "sd")


def observed(table: Table) -> Observations:
    """Columns x, y, value, sd. Raises InputError for what is missing, not a number, off the square or without error."""
    columns = {name: table.column(name) for name in COLUMNS}
    if not len(table):
        raise InputError("holds no observation; expected at least one row", file=table.file)
    for name, values in columns.items():
        for row, value in enumerate(values, 1):
            if not isinstance(value, int | float) or not np.isfinite(value):
                raise InputError(f"row {row} of column {name!r} is {value!r}; expected a number", file=table.file)
    points = np.array([columns["x"], columns["y"]], dtype=np.float64).T
    sd = np.array(columns["sd"], dtype=np.float64)
    outside = np.flatnonzero(((points <= 0) | (points >= 1)).any(axis=1))
    if outside.size:
        place = tuple(points[outside[0]].tolist())
        raise InputError(
            f"row {outside[0] + 1} is at {place}; observations lie inside the unit square, and its boundary tells "
            "nothing, since the pressure is 0 there", file=table.file,
        )  # fmt: skip
    if (sd <= 0).any():
        row = int(np.flatnonzero(sd <= 0)[0])
        raise InputError(f"row {row + 1} has sd {sd[row]:g}; expected the positive sd of its error", file=table.file)
    return Observations(points, np.array(columns["value"], dtype=np.float64), sd)
