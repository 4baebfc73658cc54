"""A small picture of a subject for the table of all of them."""

from voxfield.report._flow import speed_scale
from voxfield.report._material import Material
from voxfield.report._raster import grey, over, png, window
from voxfield.report._view import VIEWS, project, read_flat

PIXELS = 160


def thumbnail(material: Material) -> bytes:
    """The whole volume from the front, brightest along the line of sight, with the speed in colour where known."""
    import numpy as np

    view, frame, image = VIEWS[1], material.frame, material.image
    pitch = min(frame.size) / PIXELS
    everywhere = np.broadcast_to(np.ones((1, 1, 1), dtype=bool), image.grid.shape)
    flat, _ = project(image.data, image.grid, frame, view, everywhere, "max")
    pixels = read_flat(flat, image.grid, frame, view, pitch)
    low, _ = window(image.data)
    layers = []
    if material.speed is not None and material.velocity is not None and material.speed.any():
        grid = material.velocity.grid
        fastest, present = project(material.speed, grid, frame, view, material.speed > 0, "max")
        layers.append(speed_scale(material).rgba(read_flat(fastest, grid, frame, view, pitch, present)))
    return png(over(grey(pixels, low, float(np.nanpercentile(pixels, 99.8)) + 1e-6), *layers))
