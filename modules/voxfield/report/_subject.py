"""The stage `report.subject`: everything that is known about one subject, on one page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Gt

from voxfield.artifacts import Centerline, Image, ImageSeries, LabelMap, Metrics, Report, Table, VectorImage
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.report._material import Material
    from voxfield.report._page import PageContent


class SubjectPage(NamedTuple):
    """What `report.subject` makes: `index.html`, pictures in `assets/`, and `page.json` for programs."""

    page: Report


@stage(resources=Resources(mem_mb=3000, runtime=10), version=2)
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
    around_mm: Annotated[float, Gt(0)] | None = 10.0,
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
    around_mm: how far around the lumen the scan is shown, mm, so that no page shows a face; null shows all of it, for
        scans without a head
    failures: what was tried for this subject and did not finish: stage, reason and log of each
    """
    from voxfield.report._material import Material
    from voxfield.report._page import page
    from voxfield.report._tables import require_columns

    del ctx  # nothing here is random
    require_columns(branches, ("branch", "length_mm"))
    require_columns(bridges, ("bridge", "length_mm"))
    require_columns(stenoses, ("grade", "degree_percent", "sd_percent"))
    require_columns(drops, ("opening", "name", "pressure_pa"))
    material = Material(
        image, mask, probability, centerline, branches, bridges, stenoses, openings, velocity, velocity_sd, pressure,
        pressure_sd, drops, grade, metrics or (), around_mm,
    )  # fmt: skip
    return SubjectPage(page(_content(material, failures), subject, claim, run_folder))


def _content(material: "Material", failures: Sequence[Sequence[str]]) -> "PageContent":
    from voxfield.report import _sections as sections
    from voxfield.report._facts import comparison, facts_of
    from voxfield.report._page import PageContent
    from voxfield.report._sheet import Sheet
    from voxfield.report._thumbnail import thumbnail

    sheet = Sheet(material.frame.size)
    facts = facts_of(material)
    scan = sections.scan_section(material, sheet)
    backgrounds = [stack["background"] for stack in scan["slices"]] or [""] * len(material.views)
    velocity = sections.velocity_section(material, sheet, backgrounds)
    pressure = sections.pressure_section(material, sheet)
    words = {
        **scan.pop("words"),
        "velocity": velocity.pop("velocity_words", ""),
        "along": pressure.pop("along_words"),
    }
    return PageContent(
        template="subject.html.j2", untitled="Subject", contents=sections.CONTENTS,
        named=material.named(), metrics=material.metrics, facts=facts,
        tiles=sections.tiles(facts), absent=sections.absences(material, facts, failures),
        sections={
            "words": words, **scan, **velocity, **pressure, **sections.vessel_section(material, sheet),
            **sections.grade_section(facts),
        },
        assets=sheet.assets, thumbnail=thumbnail(material), compared=comparison(facts),
    )  # fmt: skip
