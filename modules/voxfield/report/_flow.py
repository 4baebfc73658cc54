"""Pictures of the velocity: speed with arrows in three planes, its uncertainty, and projections of the speed."""

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from voxfield.report._anatomy import lumen_outline, silhouette
from voxfield.report._material import Material
from voxfield.report._raster import Scale, span
from voxfield.report._sheet import Picture, Sheet
from voxfield.report._vector import arrows, stroke
from voxfield.report._view import View, pitch_of, project, read, read_flat

Floats = NDArray[np.float64]
ARROWS_ACROSS = 25  # places for an arrow along the longer side of a picture
SHORTEST = 0.06  # arrows below this share of the longest are left out


def speed_scale(material: Material) -> Scale:
    """Colours of the speed: from rest to the 99.5 % quantile inside the lumen."""
    speed, velocity = material.speed, material.velocity
    if speed is None or velocity is None:
        raise RuntimeError("a colour scale of the speed needs a velocity")
    return Scale("speed", velocity.unit or "unit not stated", *span(speed[speed > 0], zero=True), "viridis")


def speed_rows(material: Material, sheet: Sheet, backgrounds: list[str]) -> list[dict[str, Any]]:
    """Rows of pictures, each with its colour bar: speed in slices, along the line of sight, standard deviation."""
    rows = [_slices(material, sheet, backgrounds), _fastest(material, sheet)]
    if material.velocity_sd is not None:
        rows.insert(1, _deviation(material, sheet, backgrounds))
    return rows


def _slices(material: Material, sheet: Sheet, backgrounds: list[str]) -> dict[str, Any]:
    speed, velocity, scale = material.speed, material.velocity, speed_scale(material)
    if speed is None or velocity is None:
        raise RuntimeError("slices of the speed need a velocity")
    pitch = pitch_of(material.frame, velocity.grid, finer=2)
    pictures = []
    for view, background in zip(material.views, backgrounds, strict=True):
        points = material.frame.pixels(view, pitch)
        name = sheet.add(f"{view.name}-speed", scale.rgba(read(speed, velocity.grid, points, speed > 0)))
        title = sheet.title(view)
        alt = f"{title}: speed in colour over the angiogram, arrows along the flow in the plane."
        layers = [(background, "scan dim"), (name, "field")]
        drawing = lumen_outline(material, view) + _arrows(material, view)
        pictures.append(sheet.show(Picture(view, title, alt, layers, drawing)))
    return {"name": "speed", "pictures": pictures, "bar": scale.bar()}


def _arrows(material: Material, view: View) -> Markup:
    """Arrows of the velocity in the plane of a slice, centred where they belong."""
    velocity, speed = material.velocity, material.speed
    if velocity is None or speed is None:
        return Markup("")
    step = max(max(material.frame.size) / ARROWS_ACROSS, 1.2 * float(velocity.grid.spacing.min()))
    points = material.frame.pixels(view, step).reshape(-1, 3)
    inside = speed > 0
    right, up = material.frame.axes(view)
    frame = velocity.data[:, :, :, material.moment]
    parts = [read(frame[..., c], velocity.grid, points, inside) for c in range(3)]
    vectors = np.stack(parts, axis=-1)
    known = np.isfinite(vectors).all(axis=-1)
    flat = np.stack([vectors[known] @ right, -(vectors[known] @ up)], axis=-1)
    fastest = speed_scale(material).high
    length = np.linalg.norm(flat, axis=-1) / fastest
    keep = length > SHORTEST
    if not keep.any():
        return Markup("")
    middle = material.frame.plane(view, points[known][keep])
    half = step * flat[keep] / fastest / np.maximum(length[keep], 1)[:, None]
    data = arrows(middle - half, middle + half)
    return stroke(data, "arrow-edge") + stroke(data, "arrow")


def _deviation(material: Material, sheet: Sheet, backgrounds: list[str]) -> dict[str, Any]:
    sd_image = material.velocity_sd
    if sd_image is None:
        raise RuntimeError("pictures of the standard deviation need one")
    moment = min(material.moment, sd_image.data.shape[3] - 1)
    sd: Floats = np.linalg.norm(sd_image.data[:, :, :, moment], axis=-1)
    inside = sd > 0
    scale = Scale("standard deviation", sd_image.unit or "unit not stated", *span(sd[inside], zero=True), "magma")
    pitch = pitch_of(material.frame, sd_image.grid, finer=2)
    pictures = []
    for view, background in zip(material.views, backgrounds, strict=True):
        points = material.frame.pixels(view, pitch)
        name = sheet.add(f"{view.name}-speed-sd", scale.rgba(read(sd, sd_image.grid, points, inside)))
        title = sheet.title(view)
        alt = f"{title}: standard deviation of the velocity in colour over the angiogram."
        layers = [(background, "scan dim"), (name, "field")]
        pictures.append(sheet.show(Picture(view, title, alt, layers, lumen_outline(material, view))))
    return {"name": "sd", "pictures": pictures, "bar": scale.bar()}


def _fastest(material: Material, sheet: Sheet) -> dict[str, Any]:
    speed, velocity, scale = material.speed, material.velocity, speed_scale(material)
    if speed is None or velocity is None:
        raise RuntimeError("a projection of the speed needs a velocity")
    return {
        "name": "fastest",
        "pictures": projected(material, sheet, (speed, velocity, "max"), scale, "speed-max", "fastest"),
        "bar": scale.bar(),
    }


def projected(
    material: Material, sheet: Sheet, what: tuple[Floats, Any, str], scale: Scale, name: str, word: str
) -> list[dict[str, Any]]:
    """A quantity seen through the whole lumen, per view: (values, their artifact, "max" or "mean")."""
    values, artifact, how = what
    inside = values != 0
    pitch = pitch_of(material.frame, artifact.grid, finer=2)
    shown = []
    for view in material.views:
        flat, present = project(values, artifact.grid, material.frame, view, inside, how)
        pixels = read_flat(flat, artifact.grid, material.frame, view, pitch, present)
        raster = sheet.add(f"{view.name}-{name}", scale.rgba(pixels))
        title = f"{view.name.capitalize()}, {word} along the line of sight"
        alt = f"{scale.name.capitalize()} of the whole lumen, {title[0].lower()}{title[1:]}, in colour."
        tags = sheet.tags(view, material.opening_places)
        shown.append(
            sheet.show(Picture(view, title, alt, [(raster, "field")], silhouette(material, view, "lumen faint"), tags))
        )
    return shown
