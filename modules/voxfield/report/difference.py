"""The page of `voxfield diff`: what differs between two runs, and by how much their numbers moved."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from voxfield.artifacts import Report
from voxfield.report._layout import DATA, PAGE
from voxfield.report._numbers import significant
from voxfield.report._page import tile
from voxfield.report._site import data, render

WIDTH, HEIGHT, RADIUS = 180.0, 18.0, 3.5  # of the picture of an interval, pixels
CONTENTS = (("settings", "Settings and versions"), ("subjects", "Subjects and files"), ("numbers", "Numbers"))


def difference_page(content: Mapping[str, Any], warning: str) -> Report:
    """A page about the differences of two runs.

    content  what `voxfield diff --json` writes
    warning  what is to be kept in mind with the numbers
    """
    moved = [number for number in content["numbers"] if _moved(number)]
    page = render(
        "difference.html.j2", title=f"{content['a']} and {content['b']}",
        claim=f"{content['pipeline']}: A is {content['a']}, B is {content['b']}; differences are B minus A",
        tiles=_tiles(content, moved), contents=CONTENTS, found=content, warning=warning,
        tables=_tables(moved), same=len(content["numbers"]) - len(moved),
    )  # fmt: skip
    return Report({PAGE: page, DATA: data(content)})


def _moved(number: Mapping[str, Any]) -> bool:
    return bool(number["difference"]) or number["low"] != number["high"]


def _tiles(content: Mapping[str, Any], moved: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    outside = sum(number["excludes_zero"] for number in moved)
    changed = sum(outputs["differ"] for outputs in content["outputs"])
    files = changed + sum(outputs["same"] for outputs in content["outputs"])
    return [
        tile("settings", str(len(content["settings"])), "differ"),
        tile("versions", str(len(content["versions"])), "differ"),
        tile("subjects in both", str(content["both"]), f"{content['patients']} patients"),
        tile("files", str(changed), f"of {files} have other bytes"),
        tile("numbers", str(len(moved)), f"of {len(content['numbers'])} differ"),
        tile("intervals beyond zero", str(outside), "of 95 %"),
    ]


def _tables(numbers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A table for each metrics file."""
    files = list(dict.fromkeys(number["file"] for number in numbers))
    return [{"file": file, "rows": [_row(n) for n in numbers if n["file"] == file]} for file in files]


def _row(number: Mapping[str, Any]) -> dict[str, Any]:
    known = number["low"] is not None
    return {
        "name": number["name"],
        **{name: significant(number[name], 4) for name in ("a", "b", "difference")},
        "interval": f"{significant(number['low'])} to {significant(number['high'])}" if known else "",
        "picture": interval_picture(number) if known else "",
        "patients": number["patients"] or "",
        "alone": number["only_a"] + number["only_b"],
        "p": "" if number["p"] is None else significant(number["p"], 2),
        "excludes_zero": number["excludes_zero"],
    }


def interval_picture(number: Mapping[str, Any]) -> Markup:
    """The interval as a line about its mean, on a scale of its own with zero in the middle."""
    reach = max(abs(number[name]) for name in ("low", "high", "difference")) or 1.0
    low, high, mean = (
        WIDTH / 2 + (WIDTH / 2 - RADIUS) * number[name] / reach for name in ("low", "high", "difference")
    )
    return Markup(
        '<svg class="interval{}" viewBox="0 0 {:g} {:g}" width="{:g}" height="{:g}" role="img" aria-label="{}">'
        '<path class="zero" d="M{:g} 0V{:g}"/><path class="whisker" d="M{:.1f} {:g}H{:.1f}"/>'
        '<circle cx="{:.1f}" cy="{:g}" r="{:g}"/></svg>'
    ).format(
        " beyond" if number["excludes_zero"] else "", WIDTH, HEIGHT, WIDTH, HEIGHT,
        "excludes zero" if number["excludes_zero"] else "holds zero",
        WIDTH / 2, HEIGHT, low, HEIGHT / 2, high, mean, HEIGHT / 2, RADIUS,
    )  # fmt: skip
