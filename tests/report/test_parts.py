"""Numbers, charts, trees and pixels, each on its own."""

import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tube
from hypothesis import given
from hypothesis import strategies as st

from voxfield.artifacts import Centerline, Image
from voxfield.report import _numbers as numbers
from voxfield.report import jobs
from voxfield.report._chart import runs, spread
from voxfield.report._pressure import own_parts
from voxfield.report._raster import Scale, png
from voxfield.report._tree import chains, ways

numbers_or_none = [
    (None, "–"), (0, "0"), (0.0, "0"), (3, "3"), (-12, "−12"), (0.12345, "0.123"), (1234.5, "1234"), (-0.5, "−0.500"),
    (1.5e-7, "1.50e−7"), (float("nan"), "–"), ("m/s", "m/s"), (True, "yes"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), numbers_or_none)
def test_significant(value: Any, text: str) -> None:
    assert numbers.significant(value) == text


def test_value_is_told_as_far_as_its_deviation_lets_one_see() -> None:
    assert numbers.with_sd(164.53, 14.2, "Pa") == "165 ± 14\u00a0Pa"
    assert numbers.with_sd(1.2345, 0.0123) == "1.234 ± 0.012"
    assert numbers.with_sd(7.0, None) == "7.00"
    assert numbers.fixed(-0.0001, 2) == "0.00"
    assert numbers.duration(3725) == "1 h 2 min"


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 9))
def test_ticks_are_round_and_inside(low: float, length: float, count: int) -> None:
    ticks = numbers.nice_ticks(low, low + length, count)
    assert len(ticks) <= count + 1
    slack = 1e-6 * length
    assert all(low - slack <= tick <= low + length + slack for tick in ticks)
    steps = [b - a for a, b in pairwise(ticks)]
    assert all(step == pytest.approx(steps[0], rel=1e-4) for step in steps)


@given(st.lists(st.floats(0, 300), max_size=12))
def test_spread_labels_keep_their_order_and_distance(places: list[float]) -> None:
    moved = spread(places, 15.0)
    order = sorted(range(len(places)), key=lambda i: places[i])
    assert all(moved[b] - moved[a] >= 15 - 1e-6 for a, b in pairwise(order))
    if len(places) == 1:
        assert moved == places


def test_runs_are_the_stretches_of_true() -> None:
    known = np.array([True, True, False, True, False, True, True, True])
    assert [(s.start, s.stop) for s in runs(known)] == [(0, 2), (5, 8)]


@st.composite
def trees(draw: st.DrawFn) -> Centerline:
    """Forests of up to 30 nodes."""
    count = draw(st.integers(2, 30))
    parents = [-1, *(draw(st.integers(-1, n - 1)) for n in range(1, count))]
    points = np.arange(3 * count).reshape(-1, 3)
    return Centerline(points, np.ones(count), parents)


@given(trees())
def test_chains_cover_every_edge_once(tree: Centerline) -> None:
    edges = [(int(a), int(b)) for chain in chains(tree) for a, b in pairwise(chain)]
    expected = [(int(p), n) for n, p in enumerate(tree.parents) if p >= 0]
    assert sorted(edges) == sorted(expected)


@given(trees())
def test_ways_lead_from_a_root_to_every_end(tree: Centerline) -> None:
    found = ways(tree)
    for way in found:
        assert tree.parents[way.nodes[0]] == -1
        assert (tree.parents[way.nodes[1:]] == way.nodes[:-1]).all()
        assert (np.diff(way.distance) > 0).all()
    ends = set(range(len(tree))) - set(tree.parents.tolist())
    assert {int(way.nodes[-1]) for way in found} == {e for e in ends if tree.parents[e] >= 0}


@given(trees())
def test_every_edge_of_the_ways_is_drawn_once(tree: Centerline) -> None:
    drawn = [(int(a), int(b)) for way in own_parts(ways(tree)) for a, b in pairwise(way.nodes)]
    assert sorted(drawn) == sorted((int(p), n) for n, p in enumerate(tree.parents) if p >= 0)


@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.integers(0, 2**32 - 1))
def test_png_holds_the_pixels(rows: int, columns: int, colour: bool, seed: int) -> None:
    from PIL import Image as Picture

    shape = (rows, columns, 4) if colour else (rows, columns)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    content = png(pixels)
    assert np.array_equal(np.asarray(Picture.open(io.BytesIO(content))), pixels)
    assert content == png(pixels)


def test_scale_is_transparent_where_nothing_is_known() -> None:
    scale = Scale("speed", "m/s", 0.0, 2.0, "viridis")
    pixels = scale.rgba(np.array([np.nan, 0.0, 2.0, 5.0]))
    assert pixels[:, 3].tolist() == [0, 255, 255, 255]
    assert (pixels[2] == pixels[3]).all()
    assert [tick["text"] for tick in scale.bar()["ticks"]] == ["0.0", "0.5", "1.0", "1.5", "2.0"]


def test_zero_is_the_middle_of_the_colours_where_pressures_have_both_signs(made: dict[str, Any]) -> None:
    from voxfield.report._material import Material
    from voxfield.report._pressure import pressure_pictures
    from voxfield.report._sheet import Sheet

    def bar(added: float) -> dict[str, Any]:
        values = np.where(made["pressure"].data != 0, made["pressure"].data + added, 0)
        material = Material(**{**made, "pressure": Image(values, made["pressure"].affine, unit="Pa")})
        return pressure_pictures(material, Sheet((10.0, 10.0)))[1]

    one_sign = bar(0.0)
    both = bar(-0.4 * float(made["pressure"].data.min()))
    assert [tick["at"] for tick in both["ticks"] if tick["text"] == "0"] == [50.0]
    ends = re.findall(r"#(..)..(..)", both["gradient"])
    assert int(ends[0][1], 16) > int(ends[0][0], 16) + 50  # blue below
    assert int(ends[-1][0], 16) > int(ends[-1][1], 16) + 50  # red above
    assert both["gradient"] != one_sign["gradient"]


def test_curve_is_broken_at_a_bridge(made: dict[str, Any]) -> None:
    from voxfield.report._material import Material
    from voxfield.report._pressure import along_vessel

    whole = str(along_vessel(Material(**{**made, "centerline": tube.centerline(bridge=False)})))
    broken = str(along_vessel(Material(**made)))
    assert whole.count('class="line ') == 2
    assert broken.count('class="line ') == 3
    assert "outlet left" in broken
    assert "mmHg" in broken


def test_rules_tell_of_failures_without_private_folders(tmp_path: Path) -> None:
    note = {"subject": "01", "stage": "pde.pressure", "log": "logs/x.log", "exit_code": 2}
    note["reason"] = "/home/someone/scans/a.nii.gz: the velocity has no unit; see sub-01/x.tsv or m/s"
    (tmp_path / "failures").mkdir()
    (tmp_path / "failures" / "01.pressure.json").write_text(json.dumps(note))
    assert jobs.failed(tmp_path) == [
        ["01", "pde.pressure", "a.nii.gz: the velocity has no unit; see sub-01/x.tsv or m/s", "logs/x.log"]
    ]


def test_settings_are_quoted() -> None:
    assert jobs.settings({"subject": "01"}) == "--set 'subject=\"01\"'"
