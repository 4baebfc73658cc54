"""The stage `report.build`: a page about all subjects, with the page of each beside it."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge

from voxfield.artifacts import Metrics, Report
from voxfield.errors import InputError
from voxfield.report._layout import DATA, NAVIGATION, PAGE, THUMBNAIL
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.report._cohort import Entry

PLAIN = re.compile(r"[A-Za-z0-9-]+")
LINK = re.compile(r'(<a class="file") href="[^"]*"')
UP = "../../.."  # from assets/subjects/<subject> to the cohort page


class CohortReport(NamedTuple):
    """What `report.build` makes: `index.html`, and the subjects' pages in `assets/subjects/`."""

    report: Report


@stage(resources=Resources(mem_mb=2000, runtime=10), version=2)
def build(
    pages: Sequence[Report] | None = None,
    models: Sequence[Metrics] | None = None,
    *,
    title: str = "Voxfield report",
    claim: str = "",
    failures: tuple[tuple[str, str, str, str], ...] = (),
    training: tuple[str, ...] = (),
    run_folder: str = "",
    copy_at_most: Annotated[int, Ge(0)] = 200,
    ctx: Context = Context(),
) -> CohortReport:
    """A page about a run: its subjects side by side, what failed, what was found, and how it was made.

    pages   of `report.subject`, in the order in which they are listed; none where no subject finished
    models  results of stages that saw the whole cohort, such as `grading.train`

    Settings
    title: heading of the page
    claim: what is said about where the data come from
    failures: what did not finish: subject, stage, reason and log of each
    training: subjects whose scans trained a network of this run: they are marked, and what is said of masks leaves
        them out
    run_folder: the way from the page to its run folder, such as ".."; logs and files of the run are linked through it
    copy_at_most: subjects up to which their pages are copied into the report; pages of more are linked where they lie
    """
    from voxfield.report import _cohort as cohort
    from voxfield.report._facts import model_tables
    from voxfield.report._origins import packages
    from voxfield.report._site import data, render

    copied = len(pages or ()) <= copy_at_most
    entries, files = _gather(pages or (), run_folder, copied, training)
    if not copied:
        ctx.finding(
            "pages-not-copied",
            "info",
            f"{len(entries)} pages are linked where they lie, not copied (copy_at_most {copy_at_most})",
        )
    columns, rows = cohort.subject_rows(entries)
    stages = cohort.stages(entries)
    words = {
        "subjects": "Each leads to its own page. A click on the head of a column sorts by it.",
        "grades": cohort.grade_words(entries),
        "drops": "From the reference opening to the one with the lowest pressure; bars are two standard deviations "
        "to either side.",
    }
    strips, drops = cohort.strips(entries), cohort.drop_chart(entries)
    sections = (
        ("failures", "Not finished", failures), ("subjects", "Subjects", True),
        ("truth", "Against the truth", strips or drops), ("models", "Models", models),
        ("findings", "Findings", True), ("making", "How this was made", True),
    )  # fmt: skip
    page = render(
        "index.html.j2", title=title, claim=claim, contents=[(name, head) for name, head, there in sections if there],
        tiles=cohort.tiles(entries, [failure[0] for failure in failures]), failures=_failures(failures, run_folder),
        words=words, columns=columns, subjects=rows, strips=strips, drops=drops, results=model_tables(models or ()),
        findings=cohort.findings(entries), stages=stages, versions=packages(stages),
    )  # fmt: skip
    content = {
        "schema": 1, "title": title, "claim": claim, "failures": _failures(failures, ""),
        "subjects": [{"subject": e.name, **e.facts} for e in entries],
    }  # fmt: skip
    return CohortReport(Report({PAGE: page, DATA: data(content), **files}))


def _gather(
    pages: Sequence[Report], run_folder: str, copied: bool, training: Sequence[str]
) -> tuple[list["Entry"], dict[str, bytes]]:
    """What every page says, and the files of those that are copied."""
    from voxfield.report._cohort import Entry

    contents = [_content(page) for page in pages]
    names = _folders(contents)
    entries, files = [], {}
    for number, (page, content) in enumerate(zip(pages, contents, strict=True)):
        home = f"assets/subjects/{names[number]}" if copied else _place(page, run_folder)
        picture = f"{home}/{THUMBNAIL}" if home and THUMBNAIL in page.pages else ""
        trained = content["subject"] in training
        entries.append(Entry(content, f"{home}/{PAGE}" if home else "", picture, trained))
        if copied:
            around = [names[n] if 0 <= n < len(names) else "" for n in (number - 1, number + 1)]
            for path, body in page.pages.items():
                files[f"{home}/{path}"] = _at_home(body, around, run_folder) if path == PAGE else body
        page.release()
    return entries, files


def _content(page: Report) -> Mapping[str, Any]:
    """`page.json` of a subject's page."""
    from voxfield.artifacts._strict_json import parse_json

    if DATA not in page.pages:
        raise InputError(f"holds no {DATA}; expected a page made by report.subject", file=page.file)
    content = parse_json(page.pages[DATA], page.file)
    missing = {"subject", "title", "facts", "findings", "stages"} - set(content if isinstance(content, dict) else ())
    if missing:
        raise InputError(
            f"its {DATA} lacks {', '.join(sorted(missing))}; make the page anew with report.subject",
            file=page.file,
        )
    return dict(content)


def _folders(contents: Sequence[Mapping[str, Any]]) -> list[str]:
    """A folder for each page: the subject where its name is plain and stands once, else a number."""
    names = [str(content["subject"]) for content in contents]
    return [
        name if PLAIN.fullmatch(name) and names.count(name) == 1 else f"page-{number}"
        for number, name in enumerate(names, start=1)
    ]


def _place(page: Report, run_folder: str) -> str:
    """The folder of a page as seen from the cohort page; empty where nobody said where the run folder is."""
    from voxfield.paths import run_folder as folder_of

    folder = folder_of(page.file) if page.file is not None else None
    if folder is None or page.file is None or not run_folder:
        return ""
    return f"{run_folder}/{page.file.resolve().relative_to(folder).as_posix()}"


def _at_home(body: bytes, around: Sequence[str], run_folder: str) -> bytes:
    """A subject's page in its new place: with the way back and to its neighbours, and its links to files set right."""
    from voxfield.report._site import fragment

    text = body.decode().replace(NAVIGATION, fragment("crumbs.html.j2", up=UP, before=around[0], after=around[1]), 1)
    if not run_folder:
        return LINK.sub(r"\1", text).encode()
    old = re.search(r'<a class="file" href="((?:\.\./)*(?:\.\.)?)/', text)
    prefix = old.group(1) if old else ""
    return (
        text.replace(f'<a class="file" href="{prefix}/', f'<a class="file" href="{UP}/{run_folder}/').encode()
        if prefix
        else text.encode()
    )


def _failures(failures: Sequence[Sequence[str]], run_folder: str) -> list[dict[str, str]]:
    rows = [dict(zip(("subject", "stage", "reason", "log"), failure, strict=True)) for failure in failures]
    return [{**row, "href": f"{run_folder}/{row['log']}" if run_folder and row["log"] else ""} for row in rows]
