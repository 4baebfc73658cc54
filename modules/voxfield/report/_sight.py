"""A whole volume in one picture: the brightest voxel along each line of sight, or the mean of them.

Vessels full of contrast outshine what lies before and behind them. Airways are darker than their surroundings, and
the air around the patient is as dark: the mean shows them, as a radiograph does.
"""

from typing import NamedTuple

import numpy as np

from voxfield.report._material import Floats, Material
from voxfield.report._view import View, project, read_flat

SAMPLES = 20_000


class Sight(NamedTuple):
    """Pixels (rows, columns) with NaN outside the volume, their grey window, and what was taken along the way."""

    pixels: Floats
    low: float
    high: float
    how: str


def look_through(material: Material, view: View, pitch: float, low: float) -> Sight:
    """The image as seen along a view; `low` is the dark end of its own grey window."""
    image = material.image
    how = "mean" if is_dark(material) else "max"
    everywhere = np.broadcast_to(np.ones((1, 1, 1), dtype=bool), image.grid.shape)
    flat, _ = project(image.data, image.grid, material.frame, view, everywhere, how)
    pixels = read_flat(flat, image.grid, material.frame, view, pitch)
    if how == "mean":
        low = float(np.nanpercentile(pixels, 1))
    return Sight(pixels, low, float(np.nanpercentile(pixels, 99.8)) + 1e-6, how)


def is_dark(material: Material) -> bool:
    """Whether the lumen is darker than most of the image."""
    if material.lumen is None:
        return False
    mask, grid = material.lumen
    voxels = np.argwhere(mask)
    if not len(voxels):
        return False
    image = material.image
    index = np.rint(image.grid.index(grid.world(voxels[:: 1 + len(voxels) // SAMPLES]))).astype(np.int64)
    index = index[np.all((index >= 0) & (index < image.grid.shape), axis=1)]
    if not len(index):
        return False
    flat = image.data.reshape(-1)
    around = flat[:: 1 + flat.size // SAMPLES]
    return bool(np.median(image.data[tuple(index.T)]) < np.median(around))
