"""The pictures of a field on a surface: the field, how sure it is, its error, and where it was observed."""

from typing import Any

import numpy as np
from markupsafe import Markup

from voxfield.artifacts import Mesh, PointField, Table
from voxfield.report._numbers import fixed, percent
from voxfield.report._raster import Floats, Scale, grey, over, png, span
from voxfield.report._sheet import MOST_TAGS, SCALE_LENGTHS_MM, Tag, apart
from voxfield.report._surface_view import SIDES, Body, Seen, Side

KINDS = ("source", "sink", "vortex", "saddle")
MOST_ROWS = 30
SLACK = 2.0
"""Spacings behind the front at which a point still counts as seen."""


def pictures(
    field: PointField, mesh: Mesh | None, observed: PointField | None, truth: PointField | None, clusters: Table | None
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Rows of pictures, one a side, and the files behind them."""
    body = Body(field.points, None if mesh is None else mesh.triangles)
    seen = {side: body.seen(side) for side in SIDES}
    size = np.linalg.norm(field.vectors, axis=1)
    unit = field.unit or "unit not stated"
    fastest = span(size, zero=True)
    shown: list[tuple[str, str, Floats, Scale, PointField | None, str]] = [
        ("field", "Posterior mean", size, Scale("size", unit, *fastest, "viridis"), field, "the posterior mean"),
    ]
    if truth is not None:
        true = np.linalg.norm(truth.vectors, axis=1)
        shown.append(("truth", "Truth", true, Scale("size", unit, *fastest, "viridis"), truth, "the true field"))
    if field.sd is not None:
        sd = np.linalg.norm(field.sd, axis=1)
        scale = Scale("standard deviation", unit, *span(sd, zero=True), "magma")
        shown.append(("sd", "Standard deviation", sd, scale, None, "the standard deviation"))
    if truth is not None:
        error = np.linalg.norm(field.vectors - truth.vectors, axis=1)
        scale = Scale("error", unit, *span(error, zero=True), "magma")
        shown.append(("error", "Error", error, scale, None, "the distance to the true field"))
    rows, assets = [], {}
    for name, title, values, scale, arrows, words in shown:
        row = []
        for side in SIDES:
            path = f"assets/{name}-{SIDES.index(side)}.png"
            assets[path] = png(scale.rgba(seen[side].pixels(values)))
            drawing = _arrows(seen[side], arrows, fastest[1], body.spacing)
            if name == "sd" and observed is not None:
                drawing += _dots(seen[side], observed, body)
            tags = _tags(seen[side], clusters, body) if name == "field" else []
            row.append(_picture(side, seen[side], path, f"{title}, {side.name}: {words} in colour.", drawing, tags))
        rows.append({"title": title, "pictures": row, "bar": scale.bar()})
    front = seen[SIDES[0]]
    there = np.isfinite(front.pixels(size))
    backdrop = grey(np.where(there, 0.0, 0.0), 0.0, 1.0)
    assets["assets/thumbnail.png"] = png(over(backdrop, shown[0][3].rgba(front.pixels(size))))
    return rows, assets


def _arrows(seen: Seen, field: PointField | None, longest: float, spacing: float) -> Markup:
    if field is None or field.vectors.shape[1] != len(SIDES):
        return Markup("")
    return seen.arrows(field.vectors, longest, SLACK * spacing)


def _dots(seen: Seen, observed: PointField, body: Body) -> Markup:
    """A dot wherever something was observed."""
    flat = seen.place(observed.points, body)
    dots = Markup("").join(
        Markup('<circle cx="{:.2f}" cy="{:.2f}" r="{:.2f}"/>').format(x, y, seen.size / 250)
        for x, y, _ in flat[seen.visible(flat, SLACK * body.spacing)]
    )
    return Markup('<g class="observed">{}</g>').format(dots)


def _tags(seen: Seen, clusters: Table | None, body: Body) -> list[Tag]:
    """The likeliest singularities by name, where they are in front."""
    if clusters is None:
        return []
    rows = sorted(clusters.rows(), key=lambda row: -row["probability"])[:MOST_TAGS]
    tags = []
    for row in rows:
        flat = seen.place(np.array([[row[f"{axis}_mm"] for axis in "xyz"]]), body)
        if seen.visible(flat, SLACK * body.spacing)[0]:
            kind = max(KINDS, key=lambda name: row[name])
            place = 100 * flat[0] / seen.size
            tags.append(Tag(f"{kind} {percent(row['probability'], 0)}", *(round(float(p), 1) for p in place[:2])))
    return tags


def _picture(side: Side, seen: Seen, path: str, alt: str, drawing: Markup, tags: list[Tag]) -> dict[str, Any]:
    """What the template of a picture needs."""
    bar = max((length for length in SCALE_LENGTHS_MM if length <= 0.3 * seen.size), default=SCALE_LENGTHS_MM[0])
    return {
        "title": side.name.capitalize(), "alt": alt, "letters": {}, "width": round(seen.size, 2),
        "height": round(seen.size, 2), "scale": {"text": f"{bar:g} mm", "percent": round(100 * bar / seen.size, 2)},
        "layers": [(path, "field")], "drawing": drawing, "tags": apart(tags),
    }  # fmt: skip


def cluster_table(clusters: Table | None) -> dict[str, Any] | None:
    """The likeliest singularities as the template of a table wants them."""
    if clusters is None or not len(clusters):
        return None
    rows = sorted(clusters.rows(), key=lambda row: -row["probability"])[:MOST_ROWS]
    names = ("place, mm", "spread, mm", "index", "probability", *KINDS)
    written = []
    for row in rows:
        place = ", ".join(fixed(row[f"{axis}_mm"], 1) for axis in "xyz")
        cells = [(place, place), (row["spread_mm"], fixed(row["spread_mm"], 1)), (row["index"], f"{row['index']:+d}")]
        cells += [(row[name], percent(row[name], 0)) for name in ("probability", *KINDS)]
        written.append([{"value": value, "text": text, "numeric": n > 0} for n, (value, text) in enumerate(cells)])
    return {"columns": [{"label": name, "numeric": n > 0} for n, name in enumerate(names)], "rows": written}
