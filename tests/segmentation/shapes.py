"""Exact shapes by their signed distance, drawn on planes: for tests and benchmarks of `segmentation.from_slices`.

Sizes are in mm around the origin; every shape fits into a ball of 20 mm.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from voxfield.artifacts import Grid, LabelMap

Floats = NDArray[np.float64]
Inside = Callable[[Floats], NDArray[np.bool_]]

UNANNOTATED = 255


def capsule(start: Iterable[float], end: Iterable[float], radius: float) -> Inside:
    """A tube with round ends."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)

    def inside(points: Floats) -> NDArray[np.bool_]:
        along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        return np.linalg.norm(points - a - along[..., None] * (b - a), axis=-1) < radius

    return inside


def ellipsoid(*half_axes: float) -> Inside:
    """An ellipsoid along the axes."""
    return lambda points: np.linalg.norm(points / np.array(half_axes), axis=-1) < 1


def torus(ring: float, tube: float) -> Inside:
    """A ring around the y axis."""
    return lambda p: np.hypot(np.hypot(p[..., 0], p[..., 2]) - ring, p[..., 1]) < tube


def union(*parts: Inside) -> Inside:
    """Inside of any part."""
    return lambda points: np.any([part(points) for part in parts], axis=0)


SHAPES: dict[str, Inside] = {
    "sphere": ellipsoid(13, 13, 13),
    "ellipsoid": ellipsoid(16, 9, 12),
    "oblique capsule": capsule((-10, -7, -12), (10, 7, 12), 5),
    "torus": torus(12, 4.5),
    "branching tube": union(
        capsule((0, 0, -15), (0, 0, -2), 4.5),
        capsule((0, 0, -2), (10, 2, 15), 4),
        capsule((0, 0, -2), (-9, -3, 14), 3.5),
    ),
}


def grid_of(spacing: Iterable[float] = (1, 1, 1), half_mm: float = 20) -> Grid:
    """A grid around the origin that holds every shape."""
    mm = np.array(list(spacing), dtype=np.float64)
    shape = tuple(int(n) for n in np.round(2 * half_mm / mm))
    affine = np.diag([*mm, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * mm
    return Grid(shape, affine)


def centres(grid: Grid) -> Floats:
    """World points (x, y, z, 3) of all voxels."""
    return grid.world(np.stack(np.indices(grid.shape), axis=-1))


def draw(inside: Inside, grid: Grid, seen: NDArray[np.bool_]) -> LabelMap:
    """A shape on some voxels of a grid, the others unannotated."""
    values = np.where(seen, inside(centres(grid)), UNANNOTATED).astype(np.uint8)
    return LabelMap(values, grid.affine, labels={1: "organ"}, unannotated=UNANNOTATED)


def every(grid: Grid, count: int, axis: int = 2) -> NDArray[np.bool_]:
    """Voxels on `count` slices, evenly spread over an axis."""
    n = grid.shape[axis]
    shown = np.zeros(n, dtype=bool)
    shown[((np.arange(count) + 0.5) * n / count).astype(int)] = True
    return np.broadcast_to(np.expand_dims(shown, tuple(a for a in range(3) if a != axis)), grid.shape)


def oblique(grid: Grid, normal: Iterable[float], offsets_mm: Iterable[float]) -> NDArray[np.bool_]:
    """Voxels whose centres lie within half a voxel of planes, measured along the axis that these mostly face."""
    n = np.array(list(normal), dtype=np.float64)
    along = centres(grid) @ (n / np.linalg.norm(n))
    half = np.abs(n / np.linalg.norm(n) * grid.spacing).max() / 2
    return np.any([np.abs(along - offset) <= half for offset in offsets_mm], axis=0)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def interpolated(mask: NDArray[np.bool_], places: Iterable[int], spacing: Iterable[float]) -> NDArray[np.bool_]:
    """Shape-based interpolation, the classical reference, of a mask (x, y, z) seen on slices z of `places` only.

    Raya and Udupa (IEEE TMI 9(1), 1990): signed distances within each slice, linear between slices; beyond the outer
    ones they fall by the way gone. A slice without the shape has no contour: it counts as one slice distance away.
    """
    at = np.array(sorted(places))
    mm = np.array(list(spacing), dtype=np.float64)
    empty = -float(np.diff(at).max() * mm[2])
    levels = np.stack([_signed_distance(mask[:, :, z], mm[:2], empty) for z in at], axis=-1)
    z = np.arange(mask.shape[2])
    above = np.clip(np.searchsorted(at, z), 1, len(at) - 1)
    weight = np.clip((z - at[above - 1]) / (at[above] - at[above - 1]), 0, 1)
    beyond_mm = np.maximum(np.maximum(at[0] - z, z - at[-1]), 0) * mm[2]
    return (1 - weight) * levels[..., above - 1] + weight * levels[..., above] > beyond_mm


def _signed_distance(mask: NDArray[np.bool_], spacing: Floats, empty: float) -> Floats:
    if not mask.any():
        return np.full(mask.shape, empty)
    return distance_transform_edt(mask, sampling=spacing) - distance_transform_edt(~mask, sampling=spacing)
