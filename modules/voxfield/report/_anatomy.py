"""Pictures of the scan itself: slices with the outline of the lumen, and maximum intensity projections."""

from typing import Any

import numpy as np
from markupsafe import Markup

from voxfield.report._material import Material
from voxfield.report._raster import grey, window
from voxfield.report._sheet import Picture, Sheet, cut_title
from voxfield.report._sight import look_through
from voxfield.report._vector import outline, stroke
from voxfield.report._view import View, pitch_of, project, read, read_flat, voxel_axis

CUTS = 7  # slices that a reader can step through in each view


def slices(material: Material, sheet: Sheet) -> list[dict[str, Any]]:
    """Per view the slices through the lumen; `start` is the one with most of it. None where all would be blank."""
    if material.hidden:
        return []
    return [_stack(material, sheet, view) for view in material.views]


def _stack(material: Material, sheet: Sheet, view: View) -> dict[str, Any]:
    positions = cut_positions(material, view)
    focus = float(material.frame.focus[view.axis])
    start = int(np.argmin([abs(p - focus) for p in positions]))
    low, high = window(material.seen)
    pitch = pitch_of(material.frame, material.image.grid, finer=1.5)
    cuts = []
    for number, position in enumerate(positions):
        points = material.frame.pixels(view, pitch, position)
        pixels = read(material.image.data, material.image.grid, points, material.shown)
        name = sheet.add(f"{view.name}-{number}", grey(pixels, low, high))
        title = cut_title(material.frame, view, position)
        alt = f"{title}: angiogram in grey with the outline of the lumen."
        drawing = lumen_outline(material, view, position)
        picture = Picture(title, alt, [(name, "scan")], drawing, letters=view.letters)
        cuts.append(sheet.show(picture))
    return {"view": view.name, "start": start, "cuts": cuts, "background": cuts[start]["layers"][0][0]}


def cut_positions(material: Material, view: View) -> list[float]:
    """Positions along a view's axis, mm: evenly through the lumen, the one with the most lumen among them."""
    focus = float(material.frame.focus[view.axis])
    if material.lumen is None:
        return [focus]
    mask, grid = material.lumen
    across = voxel_axis(grid, material.frame, view)
    filled = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != across)))
    if len(filled) == 0:
        return [focus]
    index = grid.index(material.frame.centre)
    best = int(np.rint(grid.index(material.frame.at(view))[across]))
    inner = np.linspace(filled[0], filled[-1], CUTS + 2)[1:-1].round().astype(int)
    inner[np.argmin(abs(inner - best))] = best
    positions = []
    for place in sorted(set(inner.tolist())):
        index[across] = place
        positions.append(float(grid.world(index) @ material.frame.body[:, view.axis]))
    return sorted(positions)


def lumen_outline(material: Material, view: View, position: float | None = None) -> Markup:
    """Outlines of the lumen and of its bridges in a slice."""
    if material.lumen is None:
        return Markup("")
    mask, grid = material.lumen
    pitch = pitch_of(material.frame, grid, finer=3)
    points = material.frame.pixels(view, pitch, position)
    lines = stroke(outline(read(mask, grid, points), material.frame.size), "lumen")
    if material.bridge is not None:
        lines += stroke(outline(read(material.bridge, grid, points), material.frame.size), "bridge")
    return lines


def projections(material: Material, sheet: Sheet) -> list[dict[str, Any]]:
    """Per view the volume as seen through (see `_sight`), and the outline of the whole lumen; none where blank."""
    if material.hidden:
        return []
    image, frame = material.image, material.frame
    pitch = pitch_of(frame, image.grid, finer=1.5)
    low, _ = window(material.seen)
    shown = []
    for view in material.views:
        sight = look_through(material, view, pitch, low)
        name = sheet.add(f"{view.name}-projection", grey(sight.pixels, sight.low, sight.high))
        words = {"max": ("brightest", "Maximum intensity"), "mean": ("mean", "Mean intensity")}[sight.how]
        title = f"{view.name.capitalize()}, {words[0]} along the line of sight"
        alt = f"{words[1]} projection, {view.name}, with the silhouette of the lumen."
        drawing = silhouette(material, view)
        shown.append(sheet.show(Picture(title, alt, [(name, "scan")], drawing, letters=view.letters)))
    return shown


def silhouette(material: Material, view: View, kind: str = "lumen") -> Markup:
    """The outline of the lumen as seen along a view."""
    if material.lumen is None:
        return Markup("")
    mask, grid = material.lumen
    _, present = project(mask, grid, material.frame, view, mask, "max")
    share = read_flat(present, grid, material.frame, view, pitch_of(material.frame, grid, finer=3))
    return stroke(outline(share, material.frame.size), kind)
