"""The stage `report.surface`: a field on a surface, how sure it is, and its singularities, on one page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from voxfield.artifacts import Artifact, Mesh, Metrics, PointField, Report, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

CLUSTER_COLUMNS = (
    "x_mm", "y_mm", "z_mm", "spread_mm", "index", "probability", "source", "sink", "vortex", "saddle",
)  # fmt: skip


class SurfacePage(NamedTuple):
    """What `report.surface` makes: `index.html`, pictures in `assets/`, and `page.json` for programs."""

    page: Report


@stage(resources=Resources(mem_mb=2000, runtime=10), version=1)
def surface(
    field: PointField,
    mesh: Mesh | None = None,
    observed: PointField | None = None,
    truth: PointField | None = None,
    clusters: Table | None = None,
    metrics: Sequence[Metrics] | None = None,
    *,
    subject: str = "",
    claim: str = "",
    run_folder: str = "",
    failures: tuple[tuple[str, str, str], ...] = (),
    ctx: Context = Context(),
) -> SurfacePage:
    """One page about a field on a surface; whatever is absent is said in a sentence.

    field     (n, 3) vectors or (n, 1) scalars with standard deviation, of `fields.predict`
    mesh      surface with the points of `field` as its vertices, in the same order; without it a cloud is drawn
    observed  what the field was learnt from, anywhere near the surface
    truth     the true field at the same points
    clusters  of `fields.singularities`
    metrics   results of any stages, each recognised by its record

    Settings
    subject: name of the subject, the heading of the page
    claim: what is said about where the data come from
    run_folder: the way from the page to its run folder, such as "../.."; the page links the files of the run through it
    failures: what was tried for this subject and did not finish: stage, reason and log of each

    Raises InputError for points that are not in space, not the vertices of the mesh, or not those of the truth.
    """
    del ctx  # nothing here is random
    _require_space(field, mesh, truth)
    for column in CLUSTER_COLUMNS:
        if clusters is not None:
            clusters.column(column)
    named: list[tuple[str, Artifact | None]] = [
        ("field", field), ("mesh", mesh), ("observations", observed), ("true field", truth),
        ("singularities", clusters), *(("metrics", m) for m in metrics or ()),
    ]  # fmt: skip
    return SurfacePage(Report(_pages(
        field, mesh, observed, truth, clusters, [(name, a) for name, a in named if a is not None],
        subject=subject, claim=claim, run_folder=run_folder, failures=failures,
    )))  # fmt: skip


def _require_space(field: PointField, mesh: Mesh | None, truth: PointField | None) -> None:
    if field.points.shape[1] != 3:
        raise InputError(f"its points have {field.points.shape[1]} coordinates; a page shows surfaces in space",
                         file=field.file)  # fmt: skip
    if mesh is not None and len(mesh.vertices) != len(field.points):
        raise InputError(f"has {len(mesh.vertices)} vertices, the field {len(field.points)} points", file=mesh.file)
    if truth is not None and truth.vectors.shape != field.vectors.shape:
        raise InputError(f"has shape {truth.vectors.shape}, the field {field.vectors.shape}", file=truth.file)


def _pages(
    field: PointField, mesh: Mesh | None, observed: PointField | None, truth: PointField | None,
    clusters: Table | None, named: Sequence[tuple[str, Artifact]], *,
    subject: str, claim: str, run_folder: str, failures: Sequence[Sequence[str]],
) -> dict[str, bytes]:  # fmt: skip
    from voxfield.report._facts import other_tables, truth_tables
    from voxfield.report._origins import all_findings, linked_files, packages, stage_facts
    from voxfield.report._sections import run_tiles
    from voxfield.report._site import data, render
    from voxfield.report._surface_pictures import cluster_table, pictures

    metrics = [artifact for _, artifact in named if isinstance(artifact, Metrics)]
    stages, findings, facts = stage_facts(named), all_findings(named), _facts(field, metrics)
    rows, assets = pictures(field, mesh, observed, truth, clusters)
    absent = _absences(field, truth, clusters, failures)
    title = f"Subject {subject}" if subject else "Field on a surface"
    page = render(
        "surface.html.j2", title=title, claim=claim, tiles=[*_tiles(facts, field), *run_tiles(findings, stages)],
        rows=rows, has_mesh=mesh is not None, clusters=cluster_table(clusters), absent=absent,
        truth=truth_tables(metrics), results=other_tables(metrics), findings=findings, stages=stages,
        versions=packages(stages), **linked_files(named, run_folder),
    )  # fmt: skip
    content = {
        "schema": 1, "subject": subject, "title": title, "claim": claim, "run_folder": run_folder, "facts": facts,
        "findings": findings, "stages": stages, "absent": [s for said in absent.values() for s in said],
    }  # fmt: skip
    return {"index.html": page, "page.json": data(content), **assets}


def _facts(field: PointField, metrics: Sequence[Metrics]) -> dict[str, Any]:
    """What a cohort page compares, under the names of its columns."""
    import numpy as np

    from voxfield.report._material import result_of

    judged = result_of(metrics, "fields.evaluate_points")
    return {
        "velocity_error": judged.get("relative_l2"),
        "velocity_coverage": judged.get("coverage_95"),
        "peak_speed": float(np.linalg.norm(field.vectors, axis=1).max()) if len(field.vectors) else None,
        "speed_unit": field.unit,
    }


def _tiles(facts: dict[str, Any], field: PointField) -> list[dict[str, str]]:
    from voxfield.report._numbers import percent, significant
    from voxfield.report._sections import one_tile

    made = [one_tile("points", f"{len(field.points)}")]
    if facts["peak_speed"] is not None:
        made.append(one_tile("largest value", significant(facts["peak_speed"]), field.unit or "unit not stated"))
    if facts["velocity_error"] is not None:
        made.append(one_tile("error against the truth", percent(facts["velocity_error"]), "relative L2"))
    if facts["velocity_coverage"] is not None:
        made.append(one_tile("inside 95 % intervals", percent(facts["velocity_coverage"]), "components"))
    return made


def _absences(
    field: PointField, truth: PointField | None, clusters: Table | None, failures: Sequence[Sequence[str]]
) -> dict[str, list[str]]:
    """Per section a sentence for what is not there."""
    said = {
        "field": [] if field.sd is not None else ["No standard deviation was given to say how sure this is."],
        "singularities": [] if clusters is not None else ["Singularities were not looked for."],
        "truth": [] if truth is not None else ["The true field is not known."],
        "findings": [
            f"{stage} did not finish: {reason}{f' (log: {log})' if log else ''}" for stage, reason, log in failures
        ],
    }
    if clusters is not None and not len(clusters):
        said["singularities"].append("No singularity was found in enough of the samples to be listed.")
    return said
