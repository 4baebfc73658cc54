"""The stage `report.subject`: everything that is known about one subject, on one page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from voxfield.artifacts import Centerline, Image, ImageSeries, LabelMap, Metrics, Report, Table, VectorImage
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.report._material import Material


class SubjectPage(NamedTuple):
    """What `report.subject` makes: `index.html`, pictures in `assets/`, and `page.json` for programs."""

    page: Report


@stage(resources=Resources(mem_mb=3000, runtime=10), version=1)
def subject(
    image: Image,
    mask: LabelMap | None = None,
    probability: Image | None = None,
    centerline: Centerline | None = None,
    branches: Table | None = None,
    bridges: Table | None = None,
    stenoses: Table | None = None,
    openings: LabelMap | None = None,
    velocity: VectorImage | None = None,
    velocity_sd: VectorImage | None = None,
    pressure: ImageSeries | None = None,
    pressure_sd: ImageSeries | None = None,
    drops: Table | None = None,
    grade: Metrics | None = None,
    metrics: Sequence[Metrics] | None = None,
    *,
    subject: str = "",
    claim: str = "",
    run_folder: str = "",
    failures: tuple[tuple[str, str, str], ...] = (),
    ctx: Context = Context(),
) -> SubjectPage:
    """One page about one subject; whatever is absent is said in a sentence.

    image        (x, y, z) the scan, any unit
    mask         (x, y, z) lumen; voxels of a label named "bridge" are marked as such
    probability  (x, y, z) of the lumen; stands in where there is no mask
    centerline   tree with radii, mm
    branches     table of `segmentation.centerline`
    bridges      table of `segmentation.repair`
    stenoses     table of `segmentation.stenosis`; without it no degree of narrowing is told
    openings     1 wall, k >= 2 openings, whose names appear in the pictures
    velocity     (x, y, z, t, 3) posterior mean; of a series the frame with the fastest mean speed is shown
    velocity_sd  (x, y, z, t, 3) its standard deviation
    pressure     (x, y, z[, t]) Pa, 0 outside the lumen
    pressure_sd  (x, y, z[, t]) Pa
    drops        table of `pde.pressure`
    grade        of `grading.predict`: grade, set, coverage, probabilities
    metrics      results of any stages, each recognised by its record

    Grids may differ: everything is shown in the world, on the voxel axes of `image`. Findings, settings, versions and
    times come from the records beside the inputs; an artifact made in memory has none, and the page says so.

    Settings
    subject: name of the subject, the heading of the page
    claim: what is said about where the data come from
    run_folder: the way from the page to its run folder, such as "../.."; the page links the files of the run through it
    failures: what was tried for this subject and did not finish: stage, reason and log of each
    """
    from voxfield.report._material import Material

    del ctx  # nothing here is random
    _require_columns(branches, ("branch", "length_mm"))
    _require_columns(bridges, ("bridge", "length_mm"))
    _require_columns(stenoses, ("grade", "degree_percent", "sd_percent"))
    _require_columns(drops, ("opening", "name", "pressure_pa"))
    material = Material(
        image, mask, probability, centerline, branches, bridges, stenoses, openings, velocity, velocity_sd, pressure,
        pressure_sd, drops, grade, metrics or (),
    )  # fmt: skip
    return SubjectPage(Report(_pages(material, subject, claim, run_folder, failures)))


def _require_columns(table: Table | None, names: Sequence[str]) -> None:
    if table is not None:
        for name in names:
            table.column(name)


def _pages(
    material: "Material", name: str, claim: str, run_folder: str, failures: Sequence[Sequence[str]]
) -> dict[str, bytes]:
    from voxfield.report import _sections as sections
    from voxfield.report._facts import comparison, facts_of, other_tables, truth_tables
    from voxfield.report._origins import all_findings, linked_files, packages, stage_facts
    from voxfield.report._sheet import Sheet
    from voxfield.report._site import data, render
    from voxfield.report._thumbnail import thumbnail

    sheet = Sheet(material.frame)
    named = material.named()
    facts, stages, findings = facts_of(material), stage_facts(named), all_findings(named)
    scan = sections.scan_section(material, sheet)
    velocity = sections.velocity_section(material, sheet, [stack["background"] for stack in scan["slices"]])
    pressure = sections.pressure_section(material, sheet)
    absent = sections.absences(material, facts, failures)
    title = f"Subject {name}" if name else "Subject"
    words = {
        **scan.pop("words"),
        "velocity": velocity.pop("velocity_words", ""),
        "along": pressure.pop("along_words"),
    }
    page = render(
        "subject.html.j2", title=title, claim=claim, words=words, absent=absent, contents=sections.CONTENTS,
        tiles=sections.tiles(facts, findings, stages), findings=findings, stages=stages, versions=packages(stages),
        compared=comparison(facts), truth=truth_tables(material.metrics), results=other_tables(material.metrics),
        **linked_files(named, run_folder),
        **scan, **velocity, **pressure, **sections.vessel_section(material, sheet), **sections.grade_section(facts),
    )  # fmt: skip
    sheet.assets["assets/thumbnail.png"] = thumbnail(material)
    content = {
        "schema": 1, "subject": name, "title": title, "claim": claim, "run_folder": run_folder, "facts": facts,
        "findings": findings, "stages": stages, "absent": [s for said in absent.values() for s in said],
    }  # fmt: skip
    return {"index.html": page, "page.json": data(content), **sheet.assets}
