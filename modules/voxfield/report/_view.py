"""Three views of a volume, and how its voxels come onto them.

Pictures follow the voxel axes of the image, each taken as the body axis that it lies nearest to; nothing is rotated for
the eye. Left and right are as a radiologist reads them: the patient's right is on the left of the picture. All pictures
of a page share one frame, in millimetres, so that what lies side by side has one scale.

Pixel (row, column) of a picture w x h mm wide stands for the world point

    centre + (x - w/2) right + (h/2 - y) up,   x = (column + 1/2) pitch, y = (row + 1/2) pitch,

where `right` and `up` are unit vectors of the view. Volumes are read there by linear interpolation; values that exist
in a mask only are interpolated among the voxels of the mask (a normalised convolution, Knutsson and Westin 1993), so
that the zeros outside never darken an edge.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Grid

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
OBLIQUE_DEGREES = 5.0
LARGEST_PIXELS = 380  # along the longer side of a picture
NARROWEST, WIDEST = 0.66, 1.5  # width over height of a picture


@dataclass(frozen=True)
class View:
    """A direction to look in.

    name    "axial", "coronal" or "sagittal"
    axis    the body axis that is looked along: 0 right, 1 anterior, 2 superior
    across  body axis and sign that point to the right of the picture
    upward  body axis and sign that point up
    """

    name: str
    axis: int
    across: tuple[int, int]
    upward: tuple[int, int]

    @property
    def letters(self) -> dict[str, str]:
        """Orientation letters at the four sides."""
        (a, s), (b, t) = self.across, self.upward
        right, left = LETTERS[a][s > 0], LETTERS[a][s < 0]
        return {"left": left, "right": right, "top": LETTERS[b][t > 0], "bottom": LETTERS[b][t < 0]}


VIEWS = (
    View("axial", 2, (0, -1), (1, 1)),
    View("coronal", 1, (0, -1), (2, 1)),
    View("sagittal", 0, (1, -1), (2, 1)),
)


@dataclass(frozen=True)
class Frame:
    """What all pictures of a page show.

    body    (3, 3) unit vectors right, anterior, superior in the world, one a column
    centre  (3,) mm, in the world
    size    width and height, mm
    focus   (3,) mm: where the slices cut, along right, anterior and superior
    tilt    degrees between the voxel axes and those of the body
    """

    body: Floats
    centre: Floats
    size: tuple[float, float]
    focus: Floats
    tilt: float

    def axes(self, view: View) -> tuple[Floats, Floats]:
        """Unit vectors to the right and up, in the world."""
        (a, s), (b, t) = view.across, view.upward
        return s * self.body[:, a], t * self.body[:, b]

    def at(self, view: View, position: float | None = None) -> Floats:
        """Middle of the picture, in the world, at `position` mm along the view's axis; at the focus where None."""
        normal = self.body[:, view.axis]
        depth = self.focus[view.axis] if position is None else position
        return self.centre + (depth - self.centre @ normal) * normal

    def plane(self, view: View, points: Floats) -> Floats:
        """(n, 2) places in the picture, mm from its upper left corner, of world points (n, 3)."""
        right, up = self.axes(view)
        offset = points - self.centre
        return np.stack([offset @ right + self.size[0] / 2, self.size[1] / 2 - offset @ up], axis=-1)

    def pixels(self, view: View, pitch: float, position: float | None = None) -> Floats:
        """World points (rows, columns, 3) of the pixels of a picture, `pitch` mm apart."""
        right, up = self.axes(view)
        columns, rows = raster_shape(self.size, pitch)
        x = (np.arange(columns) + 0.5) * self.size[0] / columns - self.size[0] / 2
        y = self.size[1] / 2 - (np.arange(rows) + 0.5) * self.size[1] / rows
        return self.at(view, position) + x[None, :, None] * right + y[:, None, None] * up


def raster_shape(size: tuple[float, float], pitch: float) -> tuple[int, int]:
    """Columns and rows of a picture."""
    return max(1, round(size[0] / pitch)), max(1, round(size[1] / pitch))


def body_axes(grid: Grid) -> tuple[Floats, tuple[int, int, int]]:
    """The voxel axes as right, anterior, superior (3, 3), and which voxel axis each of them is."""
    axes = grid.axes
    order = max(permutations(range(3)), key=lambda p: sum(abs(axes[body, voxel]) for body, voxel in enumerate(p)))
    columns = [np.copysign(1.0, axes[body, voxel]) * axes[:, voxel] for body, voxel in enumerate(order)]
    return np.stack(columns, axis=1), (order[0], order[1], order[2])


def make_frame(grid: Grid, lumen: Mask | None, lumen_grid: Grid | None = None) -> Frame:
    """A frame around the lumen, cutting where most of it lies; around the whole grid where there is none."""
    body, _ = body_axes(grid)
    tilt = float(np.degrees(np.arccos(np.clip(np.diag(body), -1, 1))).max())
    region_grid = grid if lumen is None or lumen_grid is None else lumen_grid
    region = np.ones((1, 1, 1), dtype=bool) if lumen is None or not lumen.any() else lumen
    if region.size == 1:
        ends = np.array([[0, 0, 0], np.array(region_grid.shape) - 1.0])
    else:
        ends = np.array([[np.flatnonzero(_profile(region, a))[i] for a in range(3)] for i in (0, -1)], dtype=float)
    corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    along = region_grid.world(corners) @ body
    low, high = along.min(axis=0), along.max(axis=0)
    middle = (low + high) / 2
    focus = middle.copy() if region.size == 1 else _fullest(region, region_grid, body, middle)
    return Frame(body, np.linalg.solve(body.T, middle), _size(high - low, grid), focus, tilt)


def _profile(region: Mask, axis: int) -> NDArray[np.int64]:
    """Voxels of the region in every slice across an axis."""
    others = tuple(a for a in range(3) if a != axis)
    counts: NDArray[np.int64] = region.sum(axis=others)
    return counts


def _fullest(region: Mask, grid: Grid, body: Floats, middle: Floats) -> Floats:
    """Positions along the body axes of the slices with the most lumen."""
    _, order = body_axes(grid)
    focus = middle.copy()
    for axis, voxel_axis in enumerate(order):
        index = grid.index(np.linalg.solve(body.T, middle))
        index[voxel_axis] = float(np.argmax(_profile(region, voxel_axis)))
        focus[axis] = float(grid.world(index) @ body[:, axis])
    return focus


def _size(extent: Floats, grid: Grid) -> tuple[float, float]:
    """Width and height of the pictures for the extent (3,) mm of what they show."""
    margin = 2 * max(0.05 * float(extent.max()), 2 * float(grid.spacing.max()))
    width = float(max(extent[0], extent[1])) + margin
    height = float(max(extent[1], extent[2])) + margin
    return max(width, NARROWEST * height), max(height, width / WIDEST)


def pitch_of(frame: Frame, grid: Grid, *, finer: float = 2.0) -> float:
    """Millimetres a pixel: `finer` pixels a voxel, unless that makes the picture too large."""
    return max(float(grid.spacing.min()) / finer, max(frame.size) / LARGEST_PIXELS)


def read(values: NDArray[Any], grid: Grid, points: Floats, mask: Mask | None = None) -> Floats:
    """Values (x, y, z) at world points (..., 3); NaN outside the grid and, with a mask, outside the mask."""
    from scipy.ndimage import map_coordinates

    index = np.moveaxis(grid.index(points), -1, 0)
    reach = np.array(grid.shape).reshape(3, *[1] * (index.ndim - 1)) - 0.5
    outside = ((index < -0.5) | (index > reach)).any(axis=0)
    box, start = _around(index, grid.shape)
    index = index - start.reshape(3, *[1] * (index.ndim - 1))
    part = np.asarray(values[box], dtype=np.float64)
    if mask is None:
        got: Floats = map_coordinates(part, index, order=1, mode="nearest")
    else:
        weight = np.asarray(mask[box], dtype=np.float64)
        total = map_coordinates(weight, index, order=1, mode="nearest")
        got = map_coordinates(part * weight, index, order=1, mode="nearest") / np.maximum(total, 1e-9)
        outside |= total < 0.5
    return np.where(outside, np.nan, got)


def _around(index: Floats, shape: tuple[int, int, int]) -> tuple[tuple[slice, slice, slice], NDArray[np.int64]]:
    """The box of voxels that interpolation at `index` (3, ...) needs, and where it begins."""
    flat = index.reshape(3, -1)
    last = np.array(shape) - 1
    low = np.clip(np.floor(flat.min(axis=1)).astype(np.int64) - 1, 0, last)
    high = np.clip(np.ceil(flat.max(axis=1)).astype(np.int64) + 1, low, last)
    x, y, z = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return (x, y, z), low


def project(values: NDArray[Any], grid: Grid, frame: Frame, view: View, mask: Mask, how: str) -> tuple[Floats, Mask]:
    """Values of a mask seen along a view: a volume that is one voxel deep, and where the mask lies under it.

    how  "max" the largest along the line of sight, "mean" the mean
    """
    axis = voxel_axis(grid, frame, view)
    present = np.asarray(mask.any(axis=axis, keepdims=True), dtype=bool)
    if how == "max":
        flat = np.max(values, axis=axis, keepdims=True, where=mask, initial=values.min())
    else:
        total = np.sum(values, axis=axis, keepdims=True, where=mask)
        flat = total / np.maximum(mask.sum(axis=axis, keepdims=True), 1)
    return np.asarray(np.where(present, flat, 0.0), dtype=np.float64), present


def read_flat(
    flat: NDArray[Any], grid: Grid, frame: Frame, view: View, pitch: float, mask: Mask | None = None
) -> Floats:
    """A projection of `project` at the pixels of a view."""
    axis = voxel_axis(grid, frame, view)
    shape = list(grid.shape)
    shape[axis] = 1
    points = frame.pixels(view, pitch)
    index = grid.index(points)
    index[..., axis] = 0.0  # the line of sight is gone; only the place in the picture counts
    return read(flat, Grid((shape[0], shape[1], shape[2]), grid.affine), grid.world(index), mask)


def voxel_axis(grid: Grid, frame: Frame, view: View) -> int:
    """The voxel axis that lies nearest to the line of sight."""
    return int(np.argmax(np.abs(grid.axes.T @ frame.body[:, view.axis])))
