"""The stage `report.problem`: one equation, its solutions by several solvers, and how they agree, on one page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from voxfield.artifacts import Artifact, Metrics, Picture, Problem, Report, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.report._page import PageContent
    from voxfield.report._raster import Bytes

CONTENTS = (("agreement", "Agreement"), ("solutions", "Solutions"), ("statement", "Problem"))
THUMBNAIL_WIDTH = 160  # pixels


class ProblemPage(NamedTuple):
    """What `report.problem` makes: `index.html`, pictures in `assets/`, and `page.json` for programs."""

    page: Report


@stage(resources=Resources(mem_mb=1000, runtime=5), version=1)
def problem(
    problem: Problem,
    pictures: Sequence[Picture] = (),
    summaries: Sequence[Metrics] = (),
    comparison: Picture | None = None,
    pairs: Table | None = None,
    *,
    subject: str = "",
    claim: str = "",
    run_folder: str = "",
    failures: tuple[tuple[str, str, str], ...] = (),
    ctx: Context = Context(),
) -> ProblemPage:
    """One page about an equation: its solutions, how far each may be off, and whether they agree.

    problem     what was solved
    pictures    of `pde.solve`, one a solver
    summaries   metrics of `pde.solve`, in the same order
    comparison  picture of `pde.compare`
    pairs       table of `pde.compare`

    Settings
    subject: name of the problem, the heading of the page
    claim: what is said about where the data come from
    run_folder: the way from the page to its run folder, such as "../.."; the page links the files of the run through it
    failures: what was tried for this problem and did not finish: stage, reason and log of each

    Raises InputError for pictures and summaries that are not as many.
    """
    from voxfield.report._page import page
    from voxfield.report._tables import require_columns

    del ctx  # nothing here is random
    if len(pictures) != len(summaries):
        raise InputError(f"found {len(pictures)} pictures and {len(summaries)} summaries; expected as many of each")
    require_columns(pairs, ("first", "second", "excess", "agree"))
    content = _content(problem, pictures, summaries, comparison, pairs, failures)
    return ProblemPage(page(content, subject, claim, run_folder))


def _content(
    problem: Problem, pictures: Sequence[Picture], summaries: Sequence[Metrics], comparison: Picture | None,
    pairs: Table | None, failures: Sequence[Sequence[str]],
) -> "PageContent":  # fmt: skip
    from voxfield.report._page import PageContent
    from voxfield.settings_yaml import dump_yaml

    named: list[tuple[str, Artifact | None]] = [
        ("problem", problem), *(("solution", picture) for picture in pictures),
        *(("summary", summary) for summary in summaries), ("comparison", comparison), ("pairs", pairs),
    ]  # fmt: skip
    solvers = [str(summary.values.get("solver", "")) for summary in summaries]
    shown = dict(zip(solvers, pictures, strict=True))
    facts = _facts(summaries, pairs)
    plates = {"comparison": comparison, **shown}
    assets = {f"assets/{name}.png": _png(plate) for name, plate in plates.items() if plate is not None}
    said = {key: value for key, value in problem.statement.items() if value not in ("", {}, None, False)}
    return PageContent(
        template="problem.html.j2", untitled=problem.statement["title"] or "Problem", contents=CONTENTS,
        named=[(name, artifact) for name, artifact in named if artifact is not None], metrics=(), facts=facts,
        tiles=_tiles(facts), absent=_absences(comparison, summaries, failures),
        sections={
            "compared_picture": "assets/comparison.png" if comparison is not None else "", "pairs": _pairs(pairs),
            "solvers": _solvers(summaries), "plates": [(name, f"assets/{name}.png") for name in shown],
            "words": dump_yaml(_lists(said)),
        },
        assets=assets, thumbnail=_thumbnail(next(iter(shown.values()), comparison)),
    )  # fmt: skip


def _facts(summaries: Sequence[Metrics], pairs: Table | None) -> dict[str, Any]:
    """What a page of many problems compares."""
    excess = [float(row["excess"]) for row in pairs.rows()] if pairs is not None else []
    errors = [s.values["error_estimate"] for s in summaries if s.values.get("error_estimate") is not None]
    return {
        "solvers": len(summaries),
        "excess": max(excess, default=None),
        "least_error": min(errors, default=None),
    }


def _tiles(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    from voxfield.report._numbers import fixed, significant
    from voxfield.report._page import tile

    made = [tile("solvers", str(facts["solvers"]))]
    if facts["least_error"] is not None:
        made.append(tile("smallest error estimate", significant(facts["least_error"], 2), "from two grids"))
    if facts["excess"] is not None:
        kind = "error" if facts["excess"] > 1 else ""
        made.append(tile("largest difference", fixed(facts["excess"]), "of what the bars allow", kind))
    return made


def _pairs(pairs: Table | None) -> dict[str, Any] | None:
    from voxfield.report._numbers import fixed, significant
    from voxfield.report._tables import known_columns

    if pairs is None:
        return None
    return known_columns(
        pairs,
        (
            ("first", "solver", str, False), ("second", "and", str, False),
            ("largest_difference", "largest difference", significant, True), ("place", "farthest at", str, False),
            ("allowed_there", "allowed there", significant, True),
            ("excess", "difference / allowed", lambda v: fixed(v, 3), True),
            ("agree", "agree", lambda v: "yes" if v else "NO", False),
        ),
    )  # fmt: skip


def _solvers(summaries: Sequence[Metrics]) -> dict[str, Any] | None:
    from voxfield.report._numbers import significant
    from voxfield.report._tables import known_columns

    if not summaries:
        return None
    keys = ("solver", "points", "error_estimate", "error_largest", "residual", "iterations", "largest_sd")
    rows = [{key: summary.values.get(key) for key in keys} for summary in summaries]
    for row in rows:
        row["points"] = " x ".join(str(n) for n in row["points"] or ())
    return known_columns(
        Table.from_rows(rows),
        (
            ("solver", "solver", str, False), ("points", "points", str, False),
            ("error_estimate", "error estimate", significant, True), ("error_largest", "true error", significant, True),
            ("residual", "residual", significant, True), ("iterations", "iterations", significant, True),
            ("largest_sd", "largest sd", significant, True),
        ),
    )  # fmt: skip


def _absences(
    comparison: Picture | None, summaries: Sequence[Metrics], failures: Sequence[Sequence[str]]
) -> dict[str, list[str]]:
    """Per section a sentence for what is not there."""
    from voxfield.report._page import LAST, not_finished

    said: dict[str, list[str]] = {name: [] for name, _ in (*CONTENTS, *LAST)}
    if comparison is None:
        said["agreement"].append("The solutions were not found to agree; the findings say why.")
    if not summaries:
        said["solutions"].append("No solver finished.")
    if all(summary.values.get("error_largest") is None for summary in summaries):
        said["truth"].append("Nobody knows the solution: solvers are held against each other only.")
    else:
        said["truth"].append(
            "The solution is manufactured; the solvers did not see it. Errors stand in the table above."
        )
    said["findings"] += [not_finished(*failure) for failure in failures]
    return said


def _png(picture: Picture) -> bytes:
    from voxfield.report._raster import png

    return png(_opaque(picture))


def _thumbnail(picture: Picture | None) -> "Bytes":
    import numpy as np
    from PIL import Image

    if picture is None:
        return np.full((1, 1), 255, dtype=np.uint8)
    whole = Image.fromarray(_opaque(picture))
    whole.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
    return np.asarray(whole)


def _opaque(picture: Picture) -> "Bytes":
    import numpy as np

    pixels = picture.pixels if picture.pixels.ndim == 3 else np.repeat(picture.pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(np.dstack([pixels, np.full(pixels.shape[:2], 255, dtype=np.uint8)]))


def _lists(value: Any) -> Any:
    """Lists for tuples, which YAML has not."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple) else value
