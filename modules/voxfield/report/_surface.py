"""The stage `report.surface`: a field on a surface, how sure it is, and its singularities, on one page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from voxfield.artifacts import Artifact, Mesh, Metrics, PointField, Report, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.report._page import PageContent

CONTENTS = (("field", "Field"), ("singularities", "Singularities"))
MOST_ROWS = 30  # singularities in the table


class SurfacePage(NamedTuple):
    """What `report.surface` makes: `index.html`, pictures in `assets/`, and `page.json` for programs."""

    page: Report


@stage(resources=Resources(mem_mb=2000, runtime=10), version=2)
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

    Vectors are shown by their size with arrows, scalars by their value with its sign.

    Settings
    subject: name of the subject, the heading of the page
    claim: what is said about where the data come from
    run_folder: the way from the page to its run folder, such as "../.."; the page links the files of the run through it
    failures: what was tried for this subject and did not finish: stage, reason and log of each

    Raises InputError for points that are not in space, not the vertices of the mesh, or not those of the truth, and for
    a truth in another unit.
    """
    from voxfield.report._page import page
    from voxfield.report._tables import CLUSTERS, require_columns

    del ctx  # nothing here is random
    _require_space(field, observed, truth)
    _require_same(field, mesh, truth)
    require_columns(clusters, CLUSTERS)
    content = _content(field, mesh, observed, truth, clusters, metrics or (), failures)
    return SurfacePage(page(content, subject, claim, run_folder))


def _require_space(*fields: PointField | None) -> None:
    for field in fields:
        if field is not None and field.points.shape[1] != 3:
            raise InputError(f"its points have {field.points.shape[1]} coordinates; a page shows surfaces in space",
                             file=field.file)  # fmt: skip


def _require_same(field: PointField, mesh: Mesh | None, truth: PointField | None) -> None:
    """The same points everywhere, and a truth that the field can be compared with."""
    if len(field.points) < 2:
        raise InputError(f"holds {len(field.points)} points; a page shows at least 2", file=field.file)
    if mesh is not None:
        _require_places(field, mesh, mesh.vertices, "vertices")
    if truth is not None:
        _require_places(field, truth, truth.points, "points")
        if truth.vectors.shape != field.vectors.shape or truth.unit != field.unit:
            raise InputError(f"holds {truth.vectors.shape} values in {truth.unit!r}, the field {field.vectors.shape} "
                             f"in {field.unit!r}", file=truth.file)  # fmt: skip


def _require_places(field: PointField, other: Artifact, places: "NDArray[np.float64]", what: str) -> None:
    import numpy as np

    if len(places) != len(field.points):
        raise InputError(f"has {len(places)} {what}, the field {len(field.points)} points", file=other.file)
    if np.abs(places - field.points).max() > 1e-4 * np.ptp(field.points, axis=0).max():
        raise InputError(f"its {what} are not the points of the field; expected the same places in the same order",
                         file=other.file)  # fmt: skip


def _content(
    field: PointField, mesh: Mesh | None, observed: PointField | None, truth: PointField | None,
    clusters: Table | None, metrics: Sequence[Metrics], failures: Sequence[Sequence[str]],
) -> "PageContent":  # fmt: skip
    from voxfield.report._page import PageContent
    from voxfield.report._surface_pictures import pictures, quantities
    from voxfield.report._tables import cluster_table

    named: list[tuple[str, Artifact | None]] = [
        ("field", field), ("mesh", mesh), ("observations", observed), ("true field", truth),
        ("singularities", clusters), *(("metrics", m) for m in metrics),
    ]  # fmt: skip
    shown = quantities(field, observed, truth, clusters)
    rows, sheet, thumbnail = pictures(shown, field.points, mesh)
    facts = _facts(field, metrics)
    return PageContent(
        template="surface.html.j2", untitled="Field on a surface", contents=CONTENTS,
        named=[(name, artifact) for name, artifact in named if artifact is not None], metrics=metrics, facts=facts,
        tiles=_tiles(field, facts), absent=_absences(field, truth, clusters, metrics, failures),
        sections={
            "words": _words(field, mesh, observed, clusters), "rows": rows,
            "clusters": cluster_table(clusters, MOST_ROWS) if clusters is not None and len(clusters) else None,
        },
        assets=sheet.assets, thumbnail=thumbnail,
    )  # fmt: skip


def _words(field: PointField, mesh: Mesh | None, observed: PointField | None, clusters: Table | None) -> str:
    """What the pictures show."""
    from voxfield.report._surface_pictures import is_scalar

    said = [f"The {'cloud of points' if mesh is None else 'surface'} from three sides."]
    if not is_scalar(field):
        said.append("Arrows show the part of the vectors that lies in the picture.")
    if observed is not None and field.sd is not None:
        said.append("Dots are where the field was observed.")
    if clusters is not None and len(clusters):
        said.append("Words name the likeliest singularities in front.")
    return " ".join(said)


def _facts(field: PointField, metrics: Sequence[Metrics]) -> dict[str, Any]:
    """What a cohort page compares, under the names of its columns; the ends of a scalar are no speeds."""
    from voxfield.report._origins import result_of
    from voxfield.report._surface_pictures import is_scalar, values_of

    judged, values = result_of(metrics, "fields.evaluate_points"), values_of(field)
    error = {"velocity_error": judged.get("relative_l2"), "velocity_coverage": judged.get("coverage_95")}
    if is_scalar(field):
        return {**error, "lowest": float(values.min()), "highest": float(values.max()), "unit": field.unit}
    return {**error, "peak_speed": float(values.max()), "speed_unit": field.unit}


def _tiles(field: PointField, facts: dict[str, Any]) -> list[dict[str, str]]:
    from voxfield.report._numbers import percent, significant, unit_text
    from voxfield.report._page import tile

    made = [tile("points", f"{len(field.points)}")]
    for fact, what in (("peak_speed", "largest size"), ("lowest", "lowest value"), ("highest", "highest value")):
        if fact in facts:
            made.append(tile(what, significant(facts[fact]), unit_text(field.unit)))
    if facts["velocity_error"] is not None:
        made.append(tile("error against the truth", percent(facts["velocity_error"]), "relative L2"))
    if facts["velocity_coverage"] is not None:
        made.append(tile("inside 95 % intervals", percent(facts["velocity_coverage"]), "components"))
    return made


def _absences(
    field: PointField, truth: PointField | None, clusters: Table | None, metrics: Sequence[Metrics],
    failures: Sequence[Sequence[str]],
) -> dict[str, list[str]]:  # fmt: skip
    """Per section a sentence for what is not there."""
    from voxfield.report._facts import truth_tables
    from voxfield.report._page import LAST, not_finished

    said: dict[str, list[str]] = {name: [] for name, _ in (*CONTENTS, *LAST)}
    if field.sd is None:
        said["field"].append("No standard deviation was given to say how sure this is.")
    if clusters is None:
        said["singularities"].append("Singularities were not looked for.")
    elif not len(clusters):
        said["singularities"].append("No singularity was found in enough of the samples to be listed.")
    if truth is None:
        said["truth"].append("The true field is not known.")
    elif not truth_tables(metrics):
        said["truth"].append("The true field is known, but this one was not judged against it in numbers.")
    said["findings"] += [not_finished(*failure) for failure in failures]
    return said
