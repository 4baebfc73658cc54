"""Pictures of the velocity: speed with arrows in three planes, its uncertainty, and projections of the speed."""

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from voxfield.artifacts import VectorImage
from voxfield.report._anatomy import lumen_outline, silhouette
from voxfield.report._material import Material
from voxfield.report._raster import Scale
from voxfield.report._sheet import Picture, Sheet, cut_title, place_tags
from voxfield.report._vector import arrows
from voxfield.report._view import View, pitch_of, project, read, read_flat

Floats = NDArray[np.float64]
ARROWS_ACROSS = 25  # places for an arrow along the longer side of a picture
SHORTEST = 0.06  # arrows below this share of the longest are left out


def speed_scale(material: Material) -> Scale:
    """Colours of the speed: from rest to the 99.5 % quantile inside the lumen."""
    speed, velocity = _speed_of(material)
    return Scale.of_sizes("speed", velocity.unit, speed[speed > 0])


def _speed_of(material: Material) -> tuple[Floats, VectorImage]:
    if material.speed is None or material.velocity is None:
        raise RuntimeError("pictures of the speed need a velocity")
    return material.speed, material.velocity


def speed_rows(material: Material, sheet: Sheet, backgrounds: list[str]) -> list[dict[str, Any]]:
    """Rows of pictures, each with its colour bar: speed in slices, its uncertainty, speed along the line of sight."""
    speed, velocity = _speed_of(material)
    scale = speed_scale(material)
    slices = _slices(
        material, sheet, backgrounds, speed, velocity, scale, "speed",
        "speed in colour over the angiogram, arrows along the flow in the plane", arrowed=True,
    )  # fmt: skip
    fastest = projected(material, sheet, (speed, velocity, "max"), scale, "speed-max", "fastest")
    rows = [
        {"name": "speed", "pictures": slices, "bar": scale.bar()},
        {"name": "fastest", "pictures": fastest, "bar": scale.bar()},
    ]
    if material.velocity_sd is not None:
        rows.insert(1, _deviation(material, sheet, backgrounds, material.velocity_sd))
    return rows


def _deviation(material: Material, sheet: Sheet, backgrounds: list[str], velocity_sd: VectorImage) -> dict[str, Any]:
    moment = min(material.moment, velocity_sd.data.shape[3] - 1)
    sd: Floats = np.linalg.norm(velocity_sd.data[:, :, :, moment], axis=-1)
    scale = Scale.of_sizes("standard deviation", velocity_sd.unit, sd[sd > 0], "magma")
    words = "standard deviation of the velocity in colour over the angiogram"
    pictures = _slices(material, sheet, backgrounds, sd, velocity_sd, scale, "speed-sd", words)
    return {"name": "sd", "pictures": pictures, "bar": scale.bar()}


def _slices(
    material: Material, sheet: Sheet, backgrounds: list[str], sizes: Floats, artifact: VectorImage, scale: Scale,
    name: str, words: str, *, arrowed: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """A quantity over the scan in the slices with most lumen, per view; where it is 0 the scan is seen."""
    pitch = pitch_of(material.frame, artifact.grid, finer=2)
    shown = []
    for view, background in zip(material.views, backgrounds, strict=True):
        pixels = read(sizes, artifact.grid, material.frame.pixels(view, pitch), sizes > 0)
        layers = [(background, "scan dim")] if background else []
        layers.append((sheet.add(f"{view.name}-{name}", scale.rgba(pixels)), "field"))
        title = cut_title(material.frame, view)
        drawing = lumen_outline(material, view)
        if arrowed:
            drawing += _arrows(material, view)
        shown.append(sheet.show(Picture(title, f"{title}: {words}.", layers, drawing, letters=view.letters)))
    return shown


def _arrows(material: Material, view: View) -> Markup:
    """Arrows of the velocity in the plane of a slice, centred where they belong."""
    speed, velocity = _speed_of(material)
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
    return arrows(middle, half)


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
        tags = place_tags(material.frame, view, material.opening_places)
        drawing = silhouette(material, view, "lumen faint")
        shown.append(sheet.show(Picture(title, alt, [(raster, "field")], drawing, tags, view.letters)))
    return shown
