"""Fields carried from one grid of a box to another, axis by axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voxfield.pde.problem import Box
    from voxfield.pde.problem.operator import Array

SLACK = 1e-9  # of an axis: nearer points lie on its face


def resample(fields: Array, axes: Sequence[Array], others: Sequence[Array]) -> Array:
    """Fields (n, *grid), which may jump, at other points: linear between two, constant beyond the outermost."""
    for number, (old, new) in enumerate(zip(axes, others, strict=True), start=1):
        fields = _spline(fields, old, np.clip(new, old[0], old[-1]), number, degree=1)
    return fields


def resample_solutions(fields: Array, axes: Sequence[Array], others: Sequence[Array], box: Box) -> Array:
    """Solutions (n, *grid) at other points: cubic splines through them and through zero on the faces of the box."""
    for number, (axis, old, new) in enumerate(zip(box.axes, axes, others, strict=True), start=1):
        below = int(old[0] > axis.low + SLACK * axis.length)
        above = int(old[-1] < axis.high - SLACK * axis.length)
        points = np.concatenate([[axis.low] * below, old, [axis.high] * above])
        walls = [(0, 0)] * fields.ndim
        walls[number] = (below, above)
        fields = _spline(np.pad(fields, walls), points, new, number, degree=3)
    return fields


def _spline(fields: Array, points: Array, at: Array, axis: int, degree: int) -> Array:
    from scipy.interpolate import make_interp_spline

    spline = make_interp_spline(points, fields, k=min(degree, len(points) - 1), axis=axis)
    return np.asarray(spline(at))
