"""The pictures of a field on a surface: the field, how sure it is, its error, and where it was observed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from voxfield.artifacts import Mesh, PointField, Table
from voxfield.report._numbers import percent
from voxfield.report._raster import Bytes, Floats, Scale, over
from voxfield.report._sheet import MOST_TAGS, Picture, Sheet, Tag
from voxfield.report._surface_view import PIXELS, SIDES, Body, Seen, Side
from voxfield.report._tables import KINDS, likeliest

SLACK = 2.0
"""Spacings behind the front at which a point still counts as seen."""


class Quantity(NamedTuple):
    """What a row of pictures shows.

    name      of its files
    title     over the row
    words     what is in colour
    values    (n,) at the points
    arrows    vectors (n, 3) over the colours
    observed  points that are dotted
    clusters  singularities that are named
    """

    name: str
    title: str
    words: str
    values: Floats
    scale: Scale
    arrows: Floats | None = None
    observed: PointField | None = None
    clusters: Table | None = None


def is_scalar(field: PointField) -> bool:
    """Whether it has one value a point, with a sign, and no direction."""
    return bool(field.vectors.shape[1] == 1)


def values_of(field: PointField) -> Floats:
    """(n,) what is shown in colour: scalars as they are, of vectors their size."""
    return field.vectors[:, 0] if is_scalar(field) else np.asarray(np.linalg.norm(field.vectors, axis=1))


def quantities(
    field: PointField, observed: PointField | None, truth: PointField | None, clusters: Table | None
) -> list[Quantity]:
    """What there is to see of a field, each as a value at every point."""
    scale = _scale_of(field, truth)
    found = [
        Quantity(
            "field", "Posterior mean", "the posterior mean", values_of(field), scale, _arrows_of(field),
            clusters=clusters,
        )
    ]  # fmt: skip
    if truth is not None:
        found.append(Quantity("truth", "Truth", "the true field", values_of(truth), scale, _arrows_of(truth)))
    if field.sd is not None:
        sd = np.linalg.norm(field.sd, axis=1)
        sd_scale = Scale.of_sizes("standard deviation", field.unit, sd, "magma")
        found.append(Quantity("sd", "Standard deviation", "the standard deviation", sd, sd_scale, observed=observed))
    if truth is not None:
        found.append(_error(field, truth))
    return found


def _scale_of(field: PointField, truth: PointField | None) -> Scale:
    """One scale for the field and the truth, wide enough for both."""
    values = np.concatenate([values_of(f) for f in (field, truth) if f is not None])
    if is_scalar(field):
        return Scale.of_values("value", field.unit, values)
    return Scale.of_sizes("size", field.unit, values)


def _error(field: PointField, truth: PointField) -> Quantity:
    difference = field.vectors - truth.vectors
    if is_scalar(field):
        error, words = difference[:, 0], "the posterior mean minus the true field"
        return Quantity("error", "Error", words, error, Scale.of_values("mean minus truth", field.unit, error))
    error, words = np.linalg.norm(difference, axis=1), "the distance to the true field"
    return Quantity("error", "Error", words, error, Scale.of_sizes("error", field.unit, error, "magma"))


def _arrows_of(field: PointField) -> Floats | None:
    return None if is_scalar(field) else field.vectors


def pictures(shown: Sequence[Quantity], points: Floats, mesh: Mesh | None) -> tuple[list[dict[str, Any]], Sheet, Bytes]:
    """Rows of pictures, one a side, the files behind them, and a small picture of the first quantity from the front."""
    body = Body(points, None if mesh is None else mesh.triangles)
    sides = {side: body.seen(side) for side in SIDES}
    size = body.frame[1]
    sheet = Sheet((size, size))
    rows = [
        {
            "title": quantity.title,
            "pictures": [_picture(quantity, sides[side], side, body, sheet) for side in SIDES],
            "bar": quantity.scale.bar(),
        }
        for quantity in shown
    ]
    front = shown[0].scale.rgba(sides[SIDES[0]].pixels(shown[0].values))
    return rows, sheet, over(np.zeros((PIXELS, PIXELS), np.uint8), front)


def _picture(quantity: Quantity, seen: Seen, side: Side, body: Body, sheet: Sheet) -> dict[str, Any]:
    slack = SLACK * body.spacing
    raster = sheet.add(f"{quantity.name}-{SIDES.index(side)}", quantity.scale.rgba(seen.pixels(quantity.values)))
    drawing = Markup("")
    if quantity.arrows is not None:
        drawing += seen.arrows(quantity.arrows, quantity.scale.high, slack)
    if quantity.observed is not None:
        drawing += _dots(seen, seen.place(quantity.observed.points, body), slack)
    tags = [] if quantity.clusters is None else _tags(seen, quantity.clusters, body)
    alt = f"{quantity.title}, {side.name}: {quantity.words} in colour."
    return sheet.show(Picture(side.name.capitalize(), alt, [(raster, "field")], drawing, tags))


def _dots(seen: Seen, places: Floats, slack: float) -> Markup:
    """A dot at each of the places (k, 3) of a picture that are in front."""
    dots = Markup("").join(
        Markup('<circle cx="{:.2f}" cy="{:.2f}" r="{:.2f}"/>').format(x, y, seen.size / 250)
        for x, y, _ in places[seen.visible(places, slack)]
    )
    return Markup('<g class="observed">{}</g>').format(dots)


def _tags(seen: Seen, clusters: Table, body: Body) -> list[Tag]:
    """The likeliest singularities by name, where they are in front."""
    rows = likeliest(clusters, MOST_TAGS)
    places = seen.place(np.array([[row[f"{axis}_mm"] for axis in "xyz"] for row in rows]).reshape(-1, 3), body)
    visible = seen.visible(places, SLACK * body.spacing)
    return [Tag(_named(row), place[:2]) for row, place, there in zip(rows, places, visible, strict=True) if there]


def _named(row: Mapping[str, Any]) -> str:
    return f"{max(KINDS, key=lambda kind: row[kind])} {percent(row['probability'], 0)}"
