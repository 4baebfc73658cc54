"""report.surface: pictures show what is in front, in the right place; pages are whole without any optional input."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import Mesh, PointField, Table
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.phantoms import surface as make_surface
from voxfield.report import surface
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


def test_refusals() -> None:
    mesh, field, _ = phantom()
    with pytest.raises(InputError, match="2 coordinates"):
        surface(PointField(field.points[:, :2], field.vectors[:, :2]))
    with pytest.raises(InputError, match="has 300 vertices, the field 299 points"):
        surface(PointField(field.points[1:], field.vectors[1:]), mesh)
