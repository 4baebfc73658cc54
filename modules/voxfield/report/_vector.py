"""Outlines, arrows and tubes as SVG paths, in the millimetres of a picture (x to the right, y down)."""

from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HEAD = 0.34  # length of an arrow head over that of the arrow
HEAD_ANGLE = np.radians(26)
FORESHORTENED = 0.06  # length over width below which a piece of a tube is seen nearly end on


def path_data(lines: Iterable[Floats], *, close: bool = False) -> str:
    """The `d` of a path through lines (n, 2)."""
    end = "Z" if close else ""
    return "".join("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in line) + end for line in lines if len(line) > 1)


def outline(share: Floats, size: tuple[float, float]) -> str:
    """The `d` of the line at one half of (rows, columns) values that fill a picture of `size` mm."""
    from skimage.measure import approximate_polygon, find_contours

    rows, columns = share.shape
    step = np.array([size[0] / columns, size[1] / rows])
    closed = np.pad(np.nan_to_num(share), 1)  # an outline that meets the edge of the picture is closed along it
    if closed.max() < 0.5:
        return ""
    lines = [approximate_polygon(line, 0.12) for line in find_contours(closed, 0.5)]
    return path_data([(line[:, ::-1] - 0.5) * step for line in lines])


def arrows(middles: Floats, halves: Floats) -> Markup:
    """Bright arrows with a dark edge: their middles (n, 2), and from there to their tips (n, 2)."""
    data = _arrow_data(middles - halves, middles + halves)
    return stroke(data, "arrow-edge") + stroke(data, "arrow")


def _arrow_data(tails: Floats, tips: Floats) -> str:
    """The `d` of arrows from (n, 2) to (n, 2)."""
    back = HEAD * (tails - tips)
    wings = []
    for angle in (HEAD_ANGLE, -HEAD_ANGLE):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        wings.append(tips + back @ turn.T)
    shafts = np.stack([tails, tips], axis=1)
    heads = np.stack([wings[0], tips, wings[1]], axis=1)
    return path_data([*shafts, *heads])


def stroke(data: str, kind: str, **style: str) -> Markup:
    """A path with a class of the style sheet; nothing where there is nothing to draw."""
    if not data:
        return Markup("")
    more = Markup("").join(Markup(' {}="{}"').format(k.replace("_", "-"), v) for k, v in style.items())
    return Markup('<path class="{}" d="{}"{}/>').format(kind, data, more)


def tube(line: Floats, radii: Floats, colours: Sequence[str], round_ends: tuple[bool, bool]) -> Markup:
    """A vessel through (n, 2): a dark edge, pieces in their width and colour, and a highlight.

    radii       (n,) mm, true to scale
    colours     n - 1 colours
    round_ends  whether a disc covers the joint at the first and at the last point
    """
    sides = _sides(line, radii)
    discs = [
        _disc(line[i], radii[i], colours[j])
        for i, j, there in ((0, 0, round_ends[0]), (-1, -1, round_ends[1]))
        if there
    ]
    parts = [stroke(path_data(sides), "edge"), *discs]
    for n, colour in enumerate(colours):
        length, width = float(np.linalg.norm(line[n + 1] - line[n])), float(radii[n] + radii[n + 1])
        if length < FORESHORTENED * width:  # seen nearly end on, a vessel is a disc
            parts.append(_disc((line[n] + line[n + 1]) / 2, width / 2, colour))
        corners = np.stack([sides[0][n], sides[0][n + 1], sides[1][n + 1], sides[1][n]])
        parts.append(
            Markup('<path d="{}" fill="{}" stroke="{}"/>').format(path_data([corners], close=True), colour, colour)
        )
    shine = stroke(path_data([line]), "shine", stroke_width=f"{0.4 * float(np.median(radii)):.2f}")
    return Markup('<g class="tube">{}{}</g>').format(Markup("").join(parts), shine)


def _sides(line: Floats, radii: Floats) -> tuple[Floats, Floats]:
    """The two flanks of a tube: its points moved by the radius along the normal."""
    tangent = np.gradient(line, axis=0)
    length = np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / length * radii[:, None]
    return line + normal, line - normal


def _disc(centre: Floats, radius: float, colour: str) -> Markup:
    return Markup('<circle cx="{:.2f}" cy="{:.2f}" r="{:.2f}" fill="{}"/>').format(centre[0], centre[1], radius, colour)
