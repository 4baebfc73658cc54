"""Which way the encoded components point, and from them to world axes.

A direction is a letter of the patient's axes towards which the component is positive (R right, L left, A anterior,
P posterior, S superior, I inferior), or a voxel axis with its sign (+i, -k). The components m along unit directions
d_1, d_2, d_3 (rows of D) are D v, so that v = D^-1 m; directions of an oblique slab need not be those of the world.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Grid
from voxfield.errors import SettingsError

Floats = NDArray[np.float64]

PATIENT = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
VOXEL = "ijk"
LEAST_VOLUME = 0.2
"""Of the parallelepiped that three unit directions span; 1 at right angles."""


def to_world(directions: tuple[str, ...], grid: Grid) -> Floats:
    """(3, 3) matrix from encoded components to components along the world axes; raises SettingsError."""
    if len(directions) != 3:
        raise SettingsError(
            f"fields.prepare: setting 'directions' names {len(directions)} directions; expected three, one for each "
            'phase image: patient axes such as ["R", "A", "S"] or voxel axes such as ["+i", "-j", "+k"] (the '
            "protocol of the scan tells; a wrong sign turns the flow around)"
        )
    rows = np.stack([_direction(name, grid) for name in directions])
    if abs(np.linalg.det(rows)) < LEAST_VOLUME:
        raise SettingsError(
            f"fields.prepare: setting 'directions' is {', '.join(directions)}, which do not span space; expected three "
            "different axes"
        )
    return np.asarray(np.linalg.inv(rows), dtype=np.float64)


def _direction(name: str, grid: Grid) -> Floats:
    if name in PATIENT:
        return np.array(PATIENT[name], dtype=np.float64)
    if len(name) == 2 and name[0] in "+-" and name[1] in VOXEL:
        return grid.axes[:, VOXEL.index(name[1])] * (1.0 if name[0] == "+" else -1.0)
    raise SettingsError(
        f"fields.prepare: setting 'directions' holds {name!r}; expected one of {', '.join(PATIENT)}, or a voxel axis "
        "with its sign: +i, -i, +j, -j, +k, -k"
    )
