"""report.surface: pictures show what is in front, in the right place; pages are whole without any optional input."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from html_check import Page
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from voxfield.artifacts import Mesh, PointField, Report, Table
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.phantoms import surface as make_surface
from voxfield.report import surface
from voxfield.report._raster import Scale
from voxfield.report._surface_view import BALL, PIXELS, SIDES, Body
from voxfield.testing import StageContract


def phantom() -> tuple[Mesh, PointField, PointField]:
    made = make_surface(shape="sphere", vertices=300, ctx=Context(seed=1))
    field = PointField(made.truth.points, made.truth.vectors, sd=np.full((300, 3), 0.1), unit="m/s")
    return made.mesh, field, made.observed


class TestSurfacePage(StageContract):
    name = "report.surface"

    def make_inputs(self) -> Mapping[str, Any]:
        mesh, field, observed = phantom()
        row = {"frame": 0, "cluster": 1, "x_mm": 0.0, "y_mm": 50.0, "z_mm": 0.0, "spread_mm": 2.0, "index": 1}
        row |= {"probability": 0.9, "source": 0.8, "sink": 0.0, "vortex": 0.1, "saddle": 0.0}
        return {
            "field": field, "mesh": mesh, "observed": observed, "clusters": Table.from_rows([row], list(row)),
            "truth": PointField(field.points, field.vectors, unit="m/s"),
        }  # fmt: skip


@pytest.mark.parametrize("cloud", [False, True])
def test_what_is_nearest_to_the_eye_is_seen(cloud: bool) -> None:
    """The coordinate towards the eye, drawn on a sphere: its front half, and a disc of the right size."""
    mesh, field, _ = phantom()
    body = Body(field.points, None if cloud else mesh.triangles)
    for side in SIDES:
        seen = body.seen(side)
        depth = seen.pixels(field.points @ np.array(side.towards, dtype=float))
        inside = np.isfinite(depth)
        assert np.nanmin(depth) > -25
        assert depth[PIXELS // 2, PIXELS // 2] == pytest.approx(50, abs=2)
        radius = np.sqrt(inside.sum() / np.pi) * seen.size / PIXELS
        ball = BALL * body.spacing if cloud else 0.0
        assert 48.5 < radius < 50.5 + ball


def test_directions_of_the_picture() -> None:
    """Seen from above, +x is to the right and +y up."""
    points = np.array([[10.0, 0, 0], [0, 10, 0], [0, 0, 10], [-10, -10, -10]])
    flat = Body(points, None).seen(SIDES[2]).flat
    assert flat[0, 0] == flat[:, 0].max()
    assert flat[1, 1] == flat[:, 1].min()
    assert flat[2, 2] == flat[:, 2].max()


def test_a_page_of_a_field_alone_says_what_is_missing() -> None:
    _, field, _ = phantom()
    pages = surface(PointField(field.points, field.vectors)).page.pages
    page = pages["index.html"].decode()
    for words in ("No standard deviation", "Singularities were not looked for", "The true field is not known"):
        assert words in page
    assert "assets/thumbnail.png" in pages


def colours(page: Report, name: str) -> Any:
    """The colours of a picture on the page, (rows, columns, RGBA)."""
    return np.asarray(Picture.open(io.BytesIO(page.pages[f"assets/{name}.png"]))).astype(int)


def test_a_scalar_field_keeps_its_sign() -> None:
    """x on a sphere, seen from above with +x to the right: blue below zero, red above it, grey between them."""
    mesh, sphere, observed = phantom()
    x = sphere.points[:, :1] / 45
    field = PointField(sphere.points, x, sd=np.full_like(x, 0.1), unit="mV")
    truth = PointField(sphere.points, x / 2, unit="mV")
    report = surface(field, mesh, observed, truth).page
    for name in ("field-2", "truth-2", "error-2"):
        middle = colours(report, name)[PIXELS // 2]
        seen = np.flatnonzero(middle[:, 3])
        below, centre, above = (middle[seen[int(share * len(seen))]] for share in (0.1, 0.5, 0.9))
        assert below[2] > below[0] + 30
        assert above[0] > above[2] + 30
        assert np.ptp(centre[:3]) < 25
    front = colours(report, "thumbnail")[PIXELS // 2]  # where +x is on the left
    assert front[PIXELS // 4, 0] > front[PIXELS // 4, 2]
    assert front[-PIXELS // 4, 2] > front[-PIXELS // 4, 0]
    page = Page(report.pages["index.html"].decode())
    assert page.text.count("value, mV −1.0 −0.5 0.0 0.5 1.0") == 2
    assert "mean minus truth, mV" in page.text
    assert "lowest value −1.11" in page.text
    assert not [attrs for tag, attrs in page.tags if tag == "path" and "arrow" in attrs["class"]]
    facts = json.loads(report.pages["page.json"])["facts"]
    assert facts["lowest"] == pytest.approx(-50 / 45, rel=0.02)
    assert "peak_speed" not in facts


def test_scalars_of_one_sign_fill_the_colours_with_their_own_range() -> None:
    mesh, sphere, _ = phantom()
    for middle, ticks in ((37.0, "36.0 36.5 37.0 37.5 38.0"), (-37.0, "−38.0 −37.5 −37.0 −36.5 −36.0")):
        field = PointField(sphere.points, middle + sphere.points[:, :1] / 49, unit="°C")
        report = surface(field, mesh).page
        assert f"value, °C {ticks}" in Page(report.pages["index.html"].decode()).text
        row = colours(report, "field-2")[PIXELS // 2]
        seen = row[row[:, 3] > 0]
        assert seen[-5, :3].sum() > seen[5, :3].sum() + 200  # bright is more, dark is less


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.booleans())
def test_zero_is_in_the_middle_of_a_scale_with_both_signs(values: list[float], shifted: bool) -> None:
    shown = np.array(values) + (2e3 if shifted else 0.0)
    scale = Scale.of_values("value", None, shown)
    if shown.min() < 0 < shown.max():
        assert float(scale.place(0.0)) == pytest.approx(0.5)
        assert float(scale.place(shown.min())) <= 0.5 <= float(scale.place(shown.max()))
    assert (np.diff(scale.place(np.sort(shown))) >= 0).all()
    assert scale.unit == "unit not stated"


def test_refusals() -> None:
    mesh, field, observed = phantom()
    with pytest.raises(InputError, match="2 coordinates"):
        surface(PointField(field.points[:, :2], field.vectors[:, :2]))
    with pytest.raises(InputError, match="has 300 vertices, the field 299 points"):
        surface(PointField(field.points[1:], field.vectors[1:]), mesh)
    with pytest.raises(InputError, match="2 coordinates"):
        surface(field, observed=PointField(observed.points[:, :2], observed.vectors[:, :2]))
    with pytest.raises(InputError, match="holds 1 points"):
        surface(PointField(field.points[:1], field.vectors[:1]))
    with pytest.raises(InputError, match="vertices are not the points of the field"):
        surface(field, Mesh(mesh.vertices[::-1], mesh.triangles))
    with pytest.raises(InputError, match="points are not the points of the field"):
        surface(field, truth=PointField(field.points[::-1], field.vectors, unit="m/s"))
    with pytest.raises(InputError, match=r"in 'cm/s', the field \(300, 3\) in 'm/s'"):
        surface(field, truth=PointField(field.points, field.vectors, unit="cm/s"))
    with pytest.raises(InputError, match="has no column 'x_mm'"):
        surface(field, clusters=Table({"index": [1]}))
