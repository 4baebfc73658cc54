"""The stage `pde.compare`: solutions of one problem by different solvers have to agree within their own bars."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge

from voxfield.artifacts import GridField, Metrics, Picture, Problem, Table
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.pde._agreement import Pair

NEEDED = ("problem", "solver", "error_estimate", "residual")


class Comparison(NamedTuple):
    """What `pde.compare` makes."""

    pairs: Table
    metrics: Metrics
    picture: Picture


@stage(resources=Resources(mem_mb=2000, runtime=10), version=1)
def compare(
    problem: Problem,
    solutions: Sequence[GridField],
    summaries: Sequence[Metrics],
    *,
    safety: Annotated[float, Ge(1)] = 3.0,
    refuse: bool = True,
    ctx: Context = Context(),
) -> Comparison:
    """Hold the solutions of one problem by at least two solvers against each other, and fail where they disagree.

    problem    what they solve, whose name and unit they bear
    solutions  fields of `pde.solve` on the same axes
    summaries  metrics of `pde.solve`, in the same order
    pairs      one row a pair: largest difference, where it lies beyond the bars most, what they allow there, agreement
    metrics    residual and error estimate of every solver; `agree`; the largest difference over its bar
    picture    solutions and differences beside the bars

    The bar of a solution is `safety` times its error estimate from two grids, and 3 of its standard deviations where it
    has one; two solutions agree where their difference is nowhere larger than both bars together. Differences below
    1e-9 of the largest value are rounding, and always allowed. Bars beyond a tenth of the largest value allow nearly
    anything, which is told.

    Findings: disagree, vague-agreement.

    Settings
    safety: factor on the error estimates (Roache 1994 takes 3 for two grids)
    refuse: false writes the table and the picture in spite of a disagreement, which is then the finding `disagree`

    Raises InputError for fewer than two solvers, for fields that can not be subtracted, and where two disagree: which,
    where, by how much, and what their bars are.
    """
    from voxfield.pde import _agreement as agreement
    from voxfield.pde._grid_figure import comparison_figure
    from voxfield.pde._solution import title_of

    title = title_of(problem)
    told = _told(title, summaries, solutions)
    _require_same(problem, solutions)
    fields = dict(zip((entry["solver"] for entry in told), solutions, strict=True))
    bars = {entry["solver"]: agreement.bar(fields[entry["solver"]], entry["error_estimate"], safety) for entry in told}
    pairs = agreement.pairs(fields, bars)
    for pair in pairs:
        if not pair.agree:
            if refuse:
                raise InputError(f"{pair.words}; solve on finer grids, or look at the picture with refuse=false")
            ctx.finding("disagree", "warning", pair.words, value=pair.excess)
        elif pair.vague:
            ctx.finding("vague-agreement", "warning", pair.vague, value=pair.excess)
    return Comparison(
        Table.from_rows([pair.row for pair in pairs]),
        Metrics(_summary(title, told, pairs)),
        comparison_figure(
            fields, {pair.names: pair.difference for pair in pairs}, {pair.names: pair.allowed for pair in pairs},
            f"{title}: {'agreement' if all(pair.agree for pair in pairs) else 'DISAGREEMENT'}",
        ),
    )  # fmt: skip


def _told(title: str, summaries: Sequence[Metrics], solutions: Sequence[GridField]) -> list[Mapping[str, Any]]:
    """What the solvers say of their solutions."""
    if len(summaries) != len(solutions) or len(solutions) < 2:
        raise InputError(
            f"found {len(solutions)} solutions and {len(summaries)} summaries; expected at least two, as many of each"
        )
    for summary in summaries:
        missing = [key for key in NEEDED if key not in summary.values]
        if missing:
            raise InputError(f"lacks {', '.join(missing)}; expected metrics of pde.solve", file=summary.file)
        if summary.values["problem"] != title:
            found = f"is of the problem {summary.values['problem']!r}; expected {title!r}"
            raise InputError(found, file=summary.file)
    names = [summary.values["solver"] for summary in summaries]
    if len(set(names)) < len(names):
        raise InputError(f"the solvers are {', '.join(names)}; expected different ones: a solver agrees with itself")
    return [summary.values for summary in summaries]


def _require_same(problem: Problem, solutions: Sequence[GridField]) -> None:
    import numpy as np

    first = solutions[0]
    unknown = problem.statement["unknown"], problem.statement["unit"]
    for field in solutions:
        if (field.name, field.unit) != unknown:
            raise InputError(
                f"is {field.name} in {field.unit}; the problem is about {' in '.join(unknown)}", file=field.file
            )
        if list(field.axes) != list(first.axes) or field.values.shape != first.values.shape:
            raise InputError(
                f"has the axes {list(field.axes)} with {field.values.shape} points, the first field {list(first.axes)} "
                f"with {first.values.shape}; expected one grid: solve with the same `samples`",
                file=field.file,
            )
        for name, points in field.axes.items():
            if np.abs(points - first.axes[name]).max() > 1e-9 * np.ptp(points):
                raise InputError(
                    f"has other points on axis {name} than the first field; expected one grid", file=field.file
                )


def _summary(title: str, told: Sequence[Mapping[str, Any]], pairs: Sequence["Pair"]) -> dict[str, Any]:
    return {
        "problem": title,
        "agree": all(pair.agree for pair in pairs),
        "largest_excess": max(pair.excess for pair in pairs),
        "solvers": {
            entry["solver"]: {key: entry.get(key) for key in (*NEEDED[2:], "points", "error_l2")} for entry in told
        },
    }
