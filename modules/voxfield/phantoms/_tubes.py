"""Tubes of varying radius drawn into a mask on an anisotropic grid.

A tube is the union of rounded cones between successive points of a line: a voxel belongs to it where the
distance of its centre to the nearest point of a segment is below the radius interpolated there.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Real = NDArray[np.floating]
Box = tuple[slice, slice, slice]


def draw_tube(mask: Bool, points: Real, radii: Real, spacing: Real) -> None:
    """Set the voxels of one tube.

    mask     (i, j, k)  changed in place
    points   (n, 3)     mm along the voxel axes, 0 at the centre of voxel (0, 0, 0); a single point draws a ball
    radii    (n,)       mm
    spacing  (3,)       mm
    """
    if len(points) == 1:
        points, radii = np.repeat(points, 2, axis=0), np.repeat(radii, 2)
    for a, b, first, second in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        box = _box(a, b, max(first, second), spacing, mask.shape)
        if box is not None:
            mask[box] |= _inside(box, a, b, float(first), float(second), spacing)


def _box(a: Real, b: Real, reach: float, spacing: Real, shape: tuple[int, ...]) -> Box | None:
    low = np.maximum(np.floor((np.minimum(a, b) - reach) / spacing).astype(int), 0)
    high = np.minimum(np.ceil((np.maximum(a, b) + reach) / spacing).astype(int) + 1, shape)
    if np.any(low >= high):
        return None
    return cast(Box, tuple(slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True)))


def _inside(box: Box, a: Real, b: Real, first: float, second: float, spacing: Real) -> Bool:
    axes = [
        np.arange(s.start, s.stop).reshape([-1 if n == axis else 1 for n in range(3)]) * spacing[axis] - a[axis]
        for axis, s in enumerate(box)
    ]
    step = b - a
    square = max(float(step @ step), 1e-12)
    t = np.clip(sum(x * s for x, s in zip(axes, step, strict=True)) / square, 0, 1)
    off = sum((x - t * s) ** 2 for x, s in zip(axes, step, strict=True))
    inside: Bool = off < (first + t * (second - first)) ** 2
    return inside
