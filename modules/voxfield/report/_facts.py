"""The numbers of a subject: the head of its page, its row in a cohort page, and its `page.json`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voxfield.artifacts import Metrics, Table
from voxfield.report._material import Material, stage_of
from voxfield.report._numbers import DASH, fixed, percent, significant

Facts = dict[str, Any]
Wording = Callable[[Any], str]

# Results of the stages that have a place on the pages: key -> (name, how it is written). Other keys follow as they are.
KNOWN: dict[str, dict[str, tuple[str, Wording]]] = {
    "segmentation.evaluate": {
        "dice": ("Dice overlap", lambda v: fixed(v, 3)),
        "cl_dice": ("centerline Dice", lambda v: fixed(v, 3)),
        "tree_length_detected": ("tree length detected", percent),
        "branches_detected": ("branches detected", percent),
        "hd95_mm": ("95 % surface distance, mm", lambda v: fixed(v, 2)),
        "assd_mm": ("mean surface distance, mm", lambda v: fixed(v, 2)),
        "radius_error_mm": ("radius error, mm", lambda v: fixed(v, 2)),
        "leakage_ml": ("leakage, ml", lambda v: fixed(v, 3)),
    },
    "fields.evaluate": {
        "relative_l2": ("velocity error, relative L2", percent),
        "relative_l2_wall": ("velocity error at the wall, relative L2", percent),
        "relative_l2_core": ("velocity error in the core, relative L2", percent),
        "coverage_95": ("components inside their 95 % interval", percent),
    },
    "pde.evaluate": {
        "relative_l2": ("pressure error, relative L2", percent),
        "rmse_pa": ("pressure error, root mean square, Pa", significant),
        "drop_error_pa": ("error of the largest drop, Pa", significant),
        "coverage_95": ("voxels inside their 95 % interval", percent),
    },
}
TRUTH_STAGES = tuple(KNOWN)
TITLES = {"segmentation.evaluate": "Lumen", "fields.evaluate": "Velocity", "pde.evaluate": "Pressure"}


def facts_of(material: Material) -> Facts:
    """Everything that a cohort page compares; None for what is not known."""
    overlap, velocity = material.result("segmentation.evaluate"), material.result("fields.evaluate")
    return {
        **_grade(material),
        **_stenosis(material.branches),
        **_drop(material.drops),
        **_true_drop(material),
        "peak_speed": None if material.speed is None else float(material.speed.max()),
        "speed_unit": None if material.velocity is None else material.velocity.unit,
        "branches": None if material.branches is None else len(material.branches),
        "bridges": None if material.bridges is None else len(material.bridges),
        "dice": overlap.get("dice"),
        "tree_length_detected": overlap.get("tree_length_detected"),
        "velocity_error": velocity.get("relative_l2"),
        "velocity_coverage": velocity.get("coverage_95"),
    }


def _grade(material: Material) -> Facts:
    values: Mapping[str, Any] = {} if material.grade is None else material.grade.values
    given = values.get("set")
    low, high = (min(given), max(given)) if given else (values.get("set_low"), values.get("set_high"))
    return {
        "grade": values.get("grade"),
        "grade_set": None if low is None or high is None else [low, high],
        "grade_coverage": values.get("coverage"),
        "grade_certified": values.get("certified"),
        "grade_probabilities": values.get("probabilities"),
    }


def _stenosis(branches: Table | None) -> Facts:
    """The narrowest branch. Bridged branches have no radius and thus no stenosis."""
    if branches is None or "stenosis" not in branches.columns:
        return {"stenosis": None, "stenosis_branch": None}
    known = [row for row in branches.rows() if row["stenosis"] is not None and not row.get("bridge")]
    worst = max(known, key=lambda row: row["stenosis"], default=None)
    return {
        "stenosis": worst and float(worst["stenosis"]),
        "stenosis_branch": worst and worst.get("branch"),
    }


def _drop(drops: Table | None) -> Facts:
    """The largest fall of pressure from the reference to another opening, over all frames."""
    rows = [] if drops is None else drops.rows()
    known = [row for row in rows if row["pressure_pa"] is not None and not row.get("reference")]
    worst = min(known, key=lambda row: row["pressure_pa"], default=None)
    reference = next((row["name"] for row in rows if row.get("reference")), None)
    return {
        "drop_pa": None if worst is None else -float(worst["pressure_pa"]),
        "drop_sd_pa": None if worst is None else worst.get("sd_pa"),
        "drop_to": None if worst is None else worst.get("name"),
        "drop_from": reference,
    }


def _true_drop(material: Material) -> Facts:
    for stage in ("pde.evaluate", "phantoms.vessel"):
        values = material.result(stage)
        for key in ("true_drop_pa", "drop_true_pa", "largest_drop_pa", "pressure_drop_pa"):
            if isinstance(values.get(key), int | float):
                return {"true_drop_pa": values[key]}
    return {"true_drop_pa": None}


def grade_text(facts: Mapping[str, Any]) -> str:
    """`2, set {1, 2}`, or a dash."""
    if facts.get("grade") is None:
        return DASH
    if not facts.get("grade_set"):
        return f"{facts['grade']}"
    low, high = facts["grade_set"]
    return f"{facts['grade']}, set {{{', '.join(str(grade) for grade in range(low, high + 1))}}}"


def truth_tables(material: Material) -> list[dict[str, Any]]:
    """Per evaluating stage the results against the truth, known names first."""
    tables = []
    for stage in TRUTH_STAGES:
        values = material.result(stage)
        if not values:
            continue
        known = KNOWN[stage]
        rows = [
            {"name": name, "value": write(values[key])}
            for key, (name, write) in known.items()
            if values.get(key) is not None
        ]
        rest = [{"name": key, "value": value} for key, value in flat(values) if key not in known]
        tables.append({"stage": stage, "title": TITLES[stage], "rows": rows, "rest": rest})
    return tables


def other_tables(material: Material) -> list[dict[str, Any]]:
    """What stages that judge nothing against a truth had to say, such as the noise that a reconstruction found."""
    tables = []
    for metrics in material.metrics:
        stage = stage_of(metrics)
        if stage not in TRUTH_STAGES and metrics.values:
            rows = [{"name": key, "value": text} for key, text in flat(metrics.values)]
            tables.append({"stage": stage or "metrics without a record", "rows": rows})
    return tables


def flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Nested values as (dotted name, text); long lists are cut."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            found += flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            shown = ", ".join(significant(v, 4) for v in value[:8])
            found.append((name, f"{shown}, … ({len(value)} values)" if len(value) > 8 else shown))
        else:
            found.append((name, significant(value, 4)))
    return found


def model_tables(models: Sequence[Metrics]) -> list[dict[str, Any]]:
    """Results of stages that saw the whole cohort: single numbers in the open, everything else behind a click."""
    tables = []
    for metrics in models:
        rows = [{"name": key.replace("_", " "), "value": text} for key, text in _scores(metrics.values)]
        shown = {row["name"] for row in rows}
        rest = [
            {"name": key, "value": value} for key, value in flat(metrics.values) if key.replace("_", " ") not in shown
        ]
        tables.append({"stage": stage_of(metrics) or "results", "rows": rows, "rest": rest})
    return tables


def _scores(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Numbers at the top, and scores with an interval (`value`, `low`, `high`) as one text."""
    found = []
    for key, value in values.items():
        if isinstance(value, int | float):
            found.append((key, significant(value)))
        elif isinstance(value, Mapping) and isinstance(value.get("value"), int | float):
            ends = [value.get("low"), value.get("high")]
            interval = f" ({significant(ends[0])} to {significant(ends[1])})" if None not in ends else ""
            found.append((key, f"{significant(value['value'])}{interval}"))
    return found
