"""What the subjects of a run say together: the table, the figures, the findings and the stages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from markupsafe import Markup

from voxfield.report._chart import Chart, padded
from voxfield.report._facts import grade_text, stenosis_text
from voxfield.report._numbers import DASH, SPACE, fixed, nice_ticks, number, percent, significant, with_sd
from voxfield.report._origins import gravest, rank
from voxfield.report._page import tile
from voxfield.report._sections import COVERAGE_WORDS

MOST_NAMED = 12  # subjects that a finding names before it says "..."
DOT = 10.0  # pixels between two dots of a strip that must not overlap
OF_MASKS = ("dice", "tree_length_detected")
HEADLINES: tuple[tuple[str, str, Callable[[Any], str], str], ...] = (
    ("dice", "Dice", lambda v: fixed(v, 3), ""),
    ("tree_length_detected", "tree length detected", percent, ""),
    ("velocity_error", "velocity error", percent, ""),
    ("stenosis", "narrowest stenosis", lambda v: percent(v, 0), ""),
    ("drop_pa", "largest pressure drop", significant, f"{SPACE}Pa"),
)


@dataclass(frozen=True)
class Entry:
    """One subject: what its `page.json` says, where its page and its small picture are, and whether it trained."""

    content: Mapping[str, Any]
    href: str
    thumbnail: str
    trained: bool = False

    @property
    def name(self) -> str:
        """The subject, for people."""
        return str(self.content["subject"] or self.content["title"])

    @property
    def facts(self) -> Mapping[str, Any]:
        """The numbers of the subject."""
        facts: Mapping[str, Any] = self.content["facts"]
        return facts


def known(entries: Sequence[Entry], fact: str) -> list[float]:
    """The values of a fact over the subjects that have it."""
    return [float(e.facts[fact]) for e in entries if e.facts.get(fact) is not None]


def fair(entries: Sequence[Entry], fact: str) -> Sequence[Entry]:
    """The subjects that a fact may be summarised over: masks are not judged on scans that trained the network."""
    held_out = [e for e in entries if not e.trained]
    return held_out if fact in OF_MASKS and known(held_out, fact) else entries


def tiles(entries: Sequence[Entry], failed: Sequence[str]) -> list[dict[str, str]]:
    """The numbers at the head of the cohort page. `failed` are the subjects of failures; "" stands for the cohort."""
    names = {e.name for e in entries}
    lost, partly = {name for name in failed if name and name not in names}, names & set(failed)
    counts = [f"{len(lost)} failed"] if lost else []
    counts += [f"{len(partly)} incomplete"] if partly else []
    kind = "error" if lost else "warning" if partly else ""
    more = ", ".join(counts) or "none failed"
    made = [tile("subjects finished", str(len(entries)), more, kind)]
    for fact, what, write, unit in HEADLINES:
        judged = fair(entries, fact)
        values = known(judged, fact)
        if values:
            apart = ", not trained on" if len(judged) < len(entries) else ""
            more = f"median{apart}; {write(min(values))} to {write(max(values))}"
            made.append(tile(what, f"{write(median(values))}{unit}", more))
    return made


def subject_rows(entries: Sequence[Entry]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Columns that at least one subject fills, and the rows of the table."""
    grades = max((len(e.facts.get("grade_probabilities") or ()) for e in entries), default=0)
    columns: list[tuple[str, str, bool]] = [("subject", "subject", False)]
    for fact, label, numeric in (
        ("grade", "grade", False), ("true_grade", "reader's grade", True), ("stenosis", "stenosis", True),
        ("drop_pa", "pressure drop, Pa", True), ("true_drop_pa", "true drop, Pa", True),
        ("peak_speed", "peak speed", True), ("dice", "Dice", True), ("velocity_error", "velocity error", True),
        ("solvers", "solvers", True), ("excess", "difference / bars", True),
    ):  # fmt: skip
        if known(entries, fact) and (fact != "true_grade" or known(entries, "grade")):
            columns.append((fact, label, numeric))
    columns.append(("findings", "findings", True))
    rows = [
        {
            "href": e.href,
            "thumbnail": e.thumbnail,
            "cells": [_cell(e, fact, numeric, grades) for fact, _, numeric in columns],
        }
        for e in entries
    ]
    return [{"label": label, "numeric": numeric} for _, label, numeric in columns], rows


def _cell(entry: Entry, fact: str, numeric: bool, grades: int) -> dict[str, Any]:
    facts = entry.facts
    cell: dict[str, Any] = {
        "numeric": numeric,
        "href": "",
        "grades": [],
        "level": "",
        "value": "",
        "text": "",
    }
    if fact == "subject":
        text = f"{entry.name} (trained on)" if entry.trained else entry.name
        return cell | {"value": entry.name, "text": text, "href": entry.href}
    if fact == "findings":
        return cell | _finding_cell(entry)
    value = facts.get(fact)
    if value is None:
        return cell | {"text": DASH}
    if fact == "grade":
        return cell | {"value": value, "text": grade_text(facts), "grades": _grade_cells(facts, grades)}
    words = {
        "stenosis": lambda: stenosis_text(facts),
        "drop_pa": lambda: with_sd(value, facts.get("drop_sd_pa")),
        "true_drop_pa": lambda: significant(value),
        "true_grade": lambda: significant(value),
        "peak_speed": lambda: " ".join([significant(value), facts.get("speed_unit") or ""]),
        "dice": lambda: fixed(value, 3),
        "velocity_error": lambda: percent(value),
        "solvers": lambda: significant(value),
        "excess": lambda: fixed(value, 3),
    }
    return cell | {"value": value, "text": words[fact]()}


def _grade_cells(facts: Mapping[str, Any], grades: int) -> list[str]:
    """Per grade how it is drawn: "at" the grade itself, "in" the set, or neither."""
    low, high = facts.get("grade_set") or (facts["grade"], facts["grade"])
    return ["at" if g == facts["grade"] else "in" if low <= g <= high else "out" for g in range(max(grades, high + 1))]


def _finding_cell(entry: Entry) -> dict[str, Any]:
    levels = [f["level"] for f in entry.content["findings"]]
    return {"value": len(levels), "text": str(len(levels)), "level": gravest(levels)}


def grade_words(entries: Sequence[Entry]) -> str:
    """What the coloured cells of the table mean, and what a set promises."""
    if not known(entries, "grade"):
        return ""
    levels = {e.facts["grade_coverage"] for e in entries if e.facts.get("grade_coverage") is not None}
    sure = [e for e in entries if e.facts.get("grade") is not None and e.facts.get("grade_certified") is not False]
    words = "Grade: the full square is the grade, the pale ones belong to its set."
    if not levels or not sure:
        return f"{words} No coverage is claimed for the sets: too few patients to calibrate them."
    level = percent(min(levels), 0)
    return f"{words} A set holds the true grade with a probability of at least {level}: {COVERAGE_WORDS}."


def strips(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """A row of dots for every comparison with the truth that there is."""
    wanted = (
        ("dice", "Dice overlap of the lumen", 1.0),
        ("tree_length_detected", "Tree length detected, %", 100.0),
        ("velocity_error", "Velocity error, relative L2, %", 100.0),
        ("velocity_coverage", "Velocities inside their 95 % interval, %", 100.0),
    )
    return [
        {"title": title, "chart": _strip(fair(entries, fact), fact, title, scale)}
        for fact, title, scale in wanted
        if len(known(fair(entries, fact), fact)) > 1
    ]


def _strip(entries: Sequence[Entry], fact: str, title: str, scale: float) -> Markup:
    there = sorted((e for e in entries if e.facts.get(fact) is not None), key=lambda e: float(e.facts[fact]))
    values = [scale * float(e.facts[fact]) for e in there]
    low, high = padded(values[0], values[-1], 0.08)
    high = min(high, 1.01 * scale)  # all of these are shares: nothing lies above 1
    low = min(low, high - 0.02 * scale)  # a difference of less is nothing to look at
    said = f"{title}: {significant(values[0])} to {significant(values[-1])}, median {significant(median(values))}."
    size: dict[str, float] = {"width": 360, "height": 108, "left": 20, "right": 20, "top": 8, "bottom": 30}
    chart = Chart((low, high), (0, 1), "", "", said, **size)
    ticks = nice_ticks(low, high, 6)
    chart.ticks_below([(t, number(t, ticks)) for t in ticks])
    chart.rule(median(values), "median")
    for e, value, level in zip(there, values, levels([float(chart.x(v)) for v in values], DOT), strict=True):
        chart.point(value, 0.5 + level * DOT / 70, f"{e.name}: {significant(value)}", 0, e.href)
    return chart.svg()


def levels(places: Sequence[float], distance: float) -> list[int]:
    """Rows (0, 1, -1, 2, ...) for dots at ascending places, so that no two of a row are nearer than `distance`."""
    last: dict[int, float] = {}
    found = []
    for place in places:
        row = next((r for r in (0, 1, -1, 2, -2, 3, -3) if place - last.get(r, -np.inf) >= distance), 0)
        last[row] = place
        found.append(row)
    return found


def drop_chart(entries: Sequence[Entry]) -> Markup | None:
    """Reconstructed over true pressure drop with two standard deviations to either side."""
    there = [e for e in entries if e.facts.get("true_drop_pa") is not None and e.facts.get("drop_pa") is not None]
    if len(there) < 2:
        return None
    true, got, sd = (
        np.array([float(e.facts[f] or 0) for e in there]) for f in ("true_drop_pa", "drop_pa", "drop_sd_pa")
    )
    ends = padded(float(min(true.min(), (got - 2 * sd).min(), 0)), float(max(true.max(), (got + 2 * sd).max())))
    chart = Chart(ends, ends, "true drop, Pa", "reconstructed drop, Pa", "Reconstructed over true pressure drop.",
                  width=560, height=440)  # fmt: skip
    chart.axes()
    chart.line(np.array(ends), np.array(ends), 0, "identity")
    for t, g, s in zip(true, got, sd, strict=True):
        chart.error_bar(float(t), float(g - 2 * s), float(g + 2 * s), 0)
    for e, t, g, s in zip(there, true, got, sd, strict=True):
        chart.point(
            float(t),
            float(g),
            f"{e.name}: true {significant(float(t))} Pa, reconstructed {with_sd(float(g), float(s), 'Pa')}",
            0,
            e.href,
        )
    return chart.svg()


def findings(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Findings of all subjects by stage and code, the gravest and most frequent first, in the words of the first."""
    grouped: dict[tuple[str, str, str], list[tuple[Entry, str]]] = {}
    for entry in entries:
        for f in entry.content["findings"]:
            grouped.setdefault((f["level"], f.get("stage", ""), f["code"]), []).append((entry, f["message"]))
    rows = []
    for (level, stage, code), hits in sorted(grouped.items(), key=lambda item: (rank(item[0][0]), -len(item[1]))):
        who = list({e.name: {"name": e.name, "href": e.href} for e, _ in hits}.values())
        same = len({message for _, message in hits}) == 1
        rows.append(
            {
                "level": level,
                "stage": stage,
                "code": code,
                "message": hits[0][1] if same else f"{hits[0][1]} (and the like)",
                "count": f"{len(who)} subject{'s' if len(who) > 1 else ''}",
                "subjects": who[:MOST_NAMED],
                "cut": len(who) > MOST_NAMED,
            }
        )
    return rows


def stages(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Stages over all subjects: every value of a setting that occurs, times as medians."""
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        for run in entry.content["stages"]:
            runs.setdefault(run["stage"], []).append(run)
    return [_stage(name, group) for name, group in runs.items()]


def _stage(name: str, group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    settings: dict[str, list[Any]] = {}
    for run in group:
        for key, value in run["settings"].items():
            if value not in settings.setdefault(key, []):
                settings[key].append(value)
    versions = sorted({str(run["version"]) for run in group})
    codes = sorted({str(run["code"]) for run in group})
    return {
        "stage": name,
        "version": ", ".join(versions),
        "code": ", ".join(codes),
        "settings": {key: values[0] if len(values) == 1 else values for key, values in settings.items()},
        "seed": None,
        "device": ", ".join(sorted({str(run["device"]) for run in group})),
        "threads": ", ".join(sorted({str(run["threads"]) for run in group})),
        "wall_s": _median(run["wall_s"] for run in group),
        "cpu_s": _median(run["cpu_s"] for run in group),
        "memory_mb": _median(run["memory_mb"] for run in group),
        "packages": {key: value for run in group for key, value in run["packages"].items()},
    }


def _median(values: Any) -> float | None:
    there = [value for value in values if value is not None]
    return median(there) if there else None
