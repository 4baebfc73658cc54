"""A whole volume in one picture: the brightest voxel along each line of sight, or the mean of them.

Vessels full of contrast outshine what lies before and behind them. Airways are darker than their surroundings, and
the air around the patient is as dark: the mean shows them, as a radiograph does.
"""

from typing import NamedTuple

import numpy as np

from voxfield.report._material import Floats, Material
from voxfield.report._view import View, project, raster_shape, read_flat

SAMPLES = 20_000


class Sight(NamedTuple):
    """Pixels (rows, columns) with NaN outside the volume, their grey window, and what was taken along the way."""

    pixels: Floats
    low: float
    high: float
    how: str


def look_through(material: Material, view: View, pitch: float, low: float) -> Sight:
    """What may be seen of the image along a view; `low` is the dark end of its own grey window."""
    image = material.image
    if material.hidden:
        return Sight(np.full(raster_shape(material.frame.size, pitch)[::-1], np.nan), low, low + 1.0, "max")
    how = "mean" if is_dark(material) else "max"
    flat, present = project(image.data, image.grid, material.frame, view, material.shown, how)
    pixels = read_flat(flat, image.grid, material.frame, view, pitch, present)
    if how == "mean":
        low = float(np.nanpercentile(pixels, 1))
    return Sight(pixels, low, float(np.nanpercentile(pixels, 99.8)) + 1e-6, how)


def is_dark(material: Material) -> bool:
    """Whether the lumen is darker than most of what is shown around it."""
    if material.lumen is None:
        return False
    mask, grid = material.lumen
    voxels = np.argwhere(mask)
    if not len(voxels):
        return False
    image = material.image
    index = np.rint(image.grid.index(grid.world(voxels[:: 1 + len(voxels) // SAMPLES]))).astype(np.int64)
    index = index[np.all((index >= 0) & (index < image.grid.shape), axis=1)]
    if not len(index) or not material.seen.size:
        return False
    around = material.seen[:: 1 + material.seen.size // SAMPLES]
    return bool(np.median(image.data[tuple(index.T)]) < np.median(around))
