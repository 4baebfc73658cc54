"""What the pages of subjects share: head, comparison with the truth, findings, stages and files, and `page.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxfield.artifacts import Metrics, Report
from voxfield.findings import LEVELS
from voxfield.report._facts import other_tables, truth_tables
from voxfield.report._layout import DATA, PAGE, THUMBNAIL
from voxfield.report._numbers import duration
from voxfield.report._origins import Named, all_findings, gravest, linked_files, packages, stage_facts
from voxfield.report._raster import Bytes, png
from voxfield.report._site import data, render

Contents = Sequence[tuple[str, str]]  # of sections: name, heading
LAST: Contents = (("truth", "Against the truth"), ("findings", "Findings"), ("making", "How this was made"))


@dataclass(frozen=True)
class PageContent:
    """What a page has of its own.

    template   draws the sections before those of `LAST`
    untitled   heading where the subject has no name
    contents   those sections
    named      every artifact that is there, with a name for people
    metrics    those of them whose results are shown as they are
    facts      numbers that a cohort page compares
    tiles      the most important of them, for the head of the page
    absent     section -> a sentence for each thing that is not there; has every section
    sections   what the template draws
    assets     files behind the page
    thumbnail  pixels of a small picture for the table of all subjects
    compared   numbers beside their true values, for the section "truth"
    """

    template: str
    untitled: str
    contents: Contents
    named: Named
    metrics: Sequence[Metrics]
    facts: Mapping[str, Any]
    tiles: Sequence[dict[str, str]]
    absent: Mapping[str, Sequence[str]]
    sections: Mapping[str, Any]
    assets: Mapping[str, bytes]
    thumbnail: Bytes
    compared: Sequence[Mapping[str, str]] = ()


def page(own: PageContent, subject: str, claim: str, run_folder: str) -> Report:
    """The page with its pictures, and the same for programs; the settings are those of `report.subject`."""
    stages, findings = stage_facts(own.named), all_findings(own.named)
    title = f"Subject {subject}" if subject else own.untitled
    html = render(
        own.template, title=title, claim=claim, tiles=[*own.tiles, *run_tiles(findings, stages)],
        contents=[*own.contents, *LAST], absent=own.absent, compared=own.compared, truth=truth_tables(own.metrics),
        results=other_tables(own.metrics), findings=findings, stages=stages, versions=packages(stages),
        **linked_files(own.named, run_folder), **own.sections,
    )  # fmt: skip
    content = {
        "schema": 1, "subject": subject, "title": title, "claim": claim, "run_folder": run_folder,
        "facts": own.facts, "findings": findings, "stages": stages,
        "absent": [sentence for sentences in own.absent.values() for sentence in sentences],
    }  # fmt: skip
    return Report({PAGE: html, DATA: data(content), **own.assets, THUMBNAIL: png(own.thumbnail)})


def tile(what: str, value: str, more: str = "", kind: str = "") -> dict[str, str]:
    """A number at the head of a page, with a few words; `kind` is the level of a finding."""
    return {"what": what, "value": value, "more": more, "kind": kind}


def run_tiles(findings: Sequence[Mapping[str, Any]], stages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What was found, and what it took to compute."""
    levels = [finding["level"] for finding in findings]
    counts = [f"{levels.count(level)} {level}" for level in reversed(LEVELS) if level in levels]
    made = [tile("findings", str(len(levels)), ", ".join(counts) or "none", gravest(levels))]
    if any(stage["cpu_s"] is not None for stage in stages):
        seconds = duration(sum(stage["cpu_s"] or 0 for stage in stages))
        made.append(tile("computing time", seconds, f"CPU, {len(stages)} stages"))
    return made


def not_finished(stage: str, reason: str, log: str) -> str:
    """The sentence about a stage that was tried."""
    return f"{stage} did not finish: {reason}{f' (log: {log})' if log else ''}"
