"""A small picture of a subject for the table of all of them."""

from voxfield.report._flow import speed_scale
from voxfield.report._material import Material
from voxfield.report._raster import Bytes, grey, over, window
from voxfield.report._sight import look_through
from voxfield.report._view import project, read_flat

PIXELS = 160


def thumbnail(material: Material) -> Bytes:
    """What may be seen of the volume from the front, with the speed in colour where known."""
    view, frame = material.views[min(1, len(material.views) - 1)], material.frame
    pitch = min(frame.size) / PIXELS
    sight = look_through(material, view, pitch, window(material.seen)[0])
    layers = []
    if material.speed is not None and material.velocity is not None and material.speed.any():
        grid = material.velocity.grid
        fastest, present = project(material.speed, grid, frame, view, material.speed > 0, "max")
        layers.append(speed_scale(material).rgba(read_flat(fastest, grid, frame, view, pitch, present)))
    return over(grey(sight.pixels, sight.low, sight.high), *layers)
