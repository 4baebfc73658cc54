"""The stage `grading.compare`: which method is better on the same test patients, and what a label is worth."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Metrics, Table
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.grading._comparison import Cases, Judge, Method

FEWEST = 6  # patients: with 5, the smallest p-value of exchanges is 2 / 2^5 = .0625


class Comparison(NamedTuple):
    """What `grading.compare` makes."""

    metrics: Metrics
    curve: Table


@stage(resources=Resources(mem_mb=4000, runtime=30), version=1)
def compare(
    predictions: Sequence[Table],
    *,
    methods: tuple[str, ...] = (),
    labels: tuple[int, ...] = (),
    reference: str = "",
    score: Literal[
        "balanced_accuracy",
        "quadratic_kappa",
        "mean_absolute_error",
        "mean_squared_error",
        "auc_grade_2_or_more",
        "ranked_probability_score",
    ] = "quadratic_kappa",
    level: Annotated[float, Gt(0), Le(0.5)] = 0.05,
    bootstrap: Annotated[int, Ge(100)] = 2000,
    ctx: Context = Context(),
) -> Comparison:
    """Compare sets of predictions of the same test patients, by patient and by seed.

    predictions  two or more tables that `grading.evaluate` wrote (`rows`), of the same scans
    metrics      per method the mean of `score` over its seeds, with its 95 % patient-bootstrap interval; per difference
                 its interval on the same draws, `p` (predictions of a patient exchanged between the methods, held
                 together by Holm's rule) and `p_seeds` (Wilcoxon over seeds), both only between methods of as many
                 seeds; `differ`, the differences with p below `level`; `equals_reference`, the number of labels at
                 which a method equals the reference, linear in its logarithm, with its interval; `verdict`, in words
    curve        one row a method and number of labels: score, low, high, seeds

    Settings
    methods: of every table; tables of the same name and labels are seeds, the first paired with the first.
    labels: training labels of every table; nothing where no curve is asked for.
    reference: what all others are compared with, such as `supervised` or, with labels, `supervised@5778`; without it
        every pair is compared.
    score: what is compared.
    level: of significance.
    bootstrap: draws of the patient bootstrap, and patterns of exchange.

    Seeds are not test cases: patients give `p`, seeds `p_seeds`, and neither stands for the other. Nothing is chosen
    here: name the method that you claim before you look, by validation patients (`grading.choose`). Fewer than 6
    patients give no p-value below .05, which is the finding `few-patients`.
    """
    from voxfield.grading import _comparison

    runs = _check(predictions, methods, labels)
    cases, groups = _gather(predictions, runs)
    chosen = _reference(groups, reference)
    rng = ctx.rng()
    judge = _comparison.Judge.make(score, cases, bootstrap, rng)
    _check_score(judge, groups)
    found = _comparison.differences(groups, chosen, judge, bootstrap, rng)
    patients = len(set(cases.patients))
    if patients < FEWEST:
        message = f"with {patients} patients no difference can be shown; expected {FEWEST} or more"
        ctx.finding("few-patients", "warning", message, value=patients)
    curve = [_point(group, judge) for group in groups]
    facts = {
        "score": score,
        "rows": len(cases.truth),
        "patients": patients,
        "methods": {group.label: point for group, point in zip(groups, curve, strict=True)},
        "differences": found,
        "differ": [name for name, one in found.items() if one.get("p", 1.0) < level],
        "equals_reference": _comparison.equals_reference(groups, chosen, judge) if chosen else {},
        "verdict": _comparison.verdict(found, score, level, patients),
    }
    return Comparison(Metrics(facts), Table.from_rows(curve))


def _check(predictions: Sequence[Table], methods: Sequence[str], labels: Sequence[int]) -> list[tuple[str, int | None]]:
    """Method and labels of every table."""
    if len(methods) != len(predictions) or len(labels) not in (0, len(predictions)):
        raise SettingsError(
            f"{len(predictions)} tables of predictions, {len(methods)} names in methods and {len(labels)} in labels; "
            "expected one of each for every table (labels may be left out)"
        )
    counts: Sequence[int | None] = labels or [None] * len(methods)
    runs = list(zip(methods, counts, strict=True))
    if len(set(runs)) < 2:
        raise SettingsError(f"methods names {', '.join(sorted(set(methods)))} alone; expected two or more to compare")
    return runs


def _gather(predictions: Sequence[Table], runs: Sequence[tuple[str, int | None]]) -> tuple["Cases", list["Method"]]:
    """The scans that all tables grade, in the order of the first, and the methods with their runs."""
    import numpy as np

    from voxfield.grading._comparison import Cases, Method

    first = _readings(predictions[0])
    grouped: dict[tuple[str, int | None], list[Any]] = {}
    for table, run in zip(predictions, runs, strict=True):
        names = sorted((c for c in table.columns if c.startswith("probability_")), key=lambda c: int(c[12:]))
        if not names:
            raise InputError("has no column probability_0; expected rows that grading.evaluate wrote", file=table.file)
        rows = _readings(table)
        if rows.keys() != first.keys() or any(rows[one]["grade"] != first[one]["grade"] for one in first):
            raise InputError(
                f"grades {len(rows)} scans, not the same {len(first)} with the same true grades as the first table; "
                "methods are compared on the same test scans", file=table.file,
            )  # fmt: skip
        values = [[rows[one][name] for name in names] for one in first]
        grouped.setdefault(run, []).append(np.array(values, dtype=np.float64))
    cases = Cases([str(row["patient"]) for row in first.values()], np.array([row["grade"] for row in first.values()]))
    return cases, [
        Method(name, name if count is None else f"{name}@{count}", count, made)
        for (name, count), made in grouped.items()
    ]


def _readings(table: Table) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows by subject, and by their number where a scan has one for each of several readers."""
    met: Counter[str] = Counter()
    rows = {}
    for row in table.rows():
        subject = str(row["subject"])
        rows[subject, met[subject]] = row
        met[subject] += 1
    return rows


def _check_score(judge: "Judge", groups: Sequence["Method"]) -> None:
    import numpy as np

    for group in groups:
        if not np.isfinite(judge.values(group)).all():
            present = sorted(set(judge.cases.truth.tolist()))
            raise InputError(
                f"{judge.score} of {group.label} does not exist on test scans of grade "
                f"{', '.join(map(str, present))} alone; choose another score"
            )


def _reference(groups: Sequence["Method"], name: str) -> "Method | None":
    if not name:
        return None
    for group in groups:
        if group.label == name:
            return group
    raise SettingsError(f"reference is {name!r}; there are {', '.join(group.label for group in groups)}")


def _point(group: "Method", judge: "Judge") -> dict[str, Any]:
    from voxfield.grading.metrics.card import entry

    facts = entry(float(judge.values(group).mean()), judge.drawn(group))
    return {"method": group.name, "labels": group.labels, "seeds": len(group.runs), **facts}
