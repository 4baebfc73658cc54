"""The numbers of a subject: the head of its page, its row in a cohort page, and its `page.json`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from voxfield.artifacts import Metrics
from voxfield.report._chart import Chart, padded
from voxfield.report._material import Material
from voxfield.report._numbers import DASH, fixed, percent, significant
from voxfield.report._origins import result_of, stage_of

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
    "fields.evaluate_points": {
        "relative_l2": ("error of the field, relative L2", percent),
        "cosine": ("mean cosine to the true vectors", lambda v: fixed(v, 3)),
        "coverage_95": ("components inside their 95 % interval", percent),
    },
    "pde.evaluate": {
        "relative_l2": ("error of the pressure drops, relative L2", percent),
        "inside_95": ("drops inside their 95 % interval", significant),
        "judged": ("drops judged", significant),
    },
}
TRUTH_STAGES = tuple(KNOWN)
SHOWN_SCORES = (
    "steps", "loss", "test.rows", "conformal.coverage", "conformal.calibration_patients",
    "learned_l2", "classical_l2", "iterations", "iterations_from_zero",
)  # fmt: skip
TITLES = {
    "segmentation.evaluate": "Lumen", "fields.evaluate": "Velocity", "fields.evaluate_points": "Field",
    "pde.evaluate": "Pressure",
}  # fmt: skip


def facts_of(material: Material) -> Facts:
    """Everything that a cohort page compares; None for what is not known."""
    overlap, velocity = material.result("segmentation.evaluate"), material.result("fields.evaluate")
    truth = material.result("phantoms.vessel")
    return {
        **_grade(material),
        **_stenosis(material),
        **_drop(material),
        "peak_speed": None if material.speed is None else float(material.speed.max()),
        "speed_unit": None if material.velocity is None else material.velocity.unit,
        "branches": None if material.branches is None else len(material.branches),
        "bridges": None if material.bridges is None else len(material.bridges),
        "dice": overlap.get("dice"),
        "tree_length_detected": overlap.get("tree_length_detected"),
        "velocity_error": velocity.get("relative_l2"),
        "velocity_coverage": velocity.get("coverage_95"),
        "pressure_error": material.result("pde.evaluate").get("relative_l2"),
        "true_stenosis": truth.get("stenosis_max"),
        "true_peak_speed": truth.get("speed_max_m_per_s"),
        "true_grade": truth.get("grade_read"),
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
        "grade_claim": values.get("claim"),
        "grade_probabilities": values.get("probabilities"),
    }


def _stenosis(material: Material) -> Facts:
    """The narrowest place that can be graded, else the largest lower bound; bridges and twigs have none.

    That a branch tapers is no stenosis: without the table that compares with a parallel stretch nothing is claimed.
    """
    if material.stenoses is None:
        return {"stenosis": None}
    rows = material.stenoses.rows()
    bounds = [row for row in rows if row.get("at_least_percent") is not None]
    graded = [row for row in rows if row["degree_percent"] is not None]
    worst = max(graded, key=lambda row: row["degree_percent"], default=None)
    least = max(bounds, key=lambda row: row["at_least_percent"], default=None)
    bound = least is not None and (worst is None or least["at_least_percent"] > worst["degree_percent"])
    row = (least if bound else worst) or {}
    degree, sd = row.get("at_least_percent" if bound else "degree_percent"), row.get("sd_percent")
    return {
        "stenosis": None if degree is None else degree / 100,
        "stenosis_sd": None if sd is None else sd / 100,
        "stenosis_is_least": bound,
        "stenosis_method": row.get("method"),
        "stenosis_place": [row[f"{axis}_mm"] for axis in "xyz"] if row else None,
        "near_occlusions": sum(row["grade"] == "near-occlusion" for row in rows),
        "occlusions": sum(row["grade"] == "occlusion" for row in rows),
    }


def stenosis_text(facts: Mapping[str, Any]) -> str:
    """`62 ± 5 %`, `at least 45 %`, or a dash."""
    value, sd = facts.get("stenosis"), facts.get("stenosis_sd")
    if value is None or sd is None:
        return ("at least " if value is not None and facts.get("stenosis_is_least") else "") + percent(value, 0)
    return f"{fixed(100 * value, 0)} ± {percent(sd, 0)}"


def _drop(material: Material) -> Facts:
    """The largest fall of pressure from the reference to another opening, over all frames, and what it really is."""
    rows = [] if material.drops is None else material.drops.rows()
    known = [row for row in rows if row["pressure_pa"] is not None and not row.get("reference")]
    reference = next((row["name"] for row in rows if row.get("reference")), None)
    if not known:
        return {"drop_pa": None, "drop_sd_pa": None, "drop_to": None, "drop_from": reference, "true_drop_pa": None}
    worst = min(known, key=lambda row: float(row["pressure_pa"]))
    return {
        "drop_pa": -float(worst["pressure_pa"]),
        "drop_sd_pa": worst.get("sd_pa"),
        "drop_to": worst.get("name"),
        "drop_from": reference,
        "true_drop_pa": _true_drop(material.result("pde.evaluate"), worst.get("opening")),
    }


def _true_drop(judged: Mapping[str, Any], opening: Any) -> float | None:
    found = [entry["true_pa"] for entry in judged.get("openings", ()) if entry.get("opening") == opening]
    return -float(found[0]) if found else None


def comparison(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Headline numbers beside what they should be, where that is known."""
    rows: tuple[tuple[str, str, str, Wording], ...] = (
        ("narrowest stenosis", "stenosis", "true_stenosis", lambda v: percent(v, 0)),
        ("largest pressure drop, Pa", "drop_pa", "true_drop_pa", significant),
        ("peak speed, m/s", "peak_speed", "true_peak_speed", significant),
        ("severity grade (truth: a noisy reader)", "grade", "true_grade", significant),
    )
    return [
        {"name": name, "value": write(facts[got]), "truth": write(facts[true])}
        for name, got, true, write in rows
        if facts[true] is not None
    ]


def grade_text(facts: Mapping[str, Any]) -> str:
    """`2, set {1, 2}`, or a dash."""
    if facts.get("grade") is None:
        return DASH
    if not facts.get("grade_set"):
        return f"{facts['grade']}"
    low, high = facts["grade_set"]
    return f"{facts['grade']}, set {{{', '.join(str(grade) for grade in range(low, high + 1))}}}"


def truth_tables(metrics: Sequence[Metrics]) -> list[dict[str, Any]]:
    """Per evaluating stage the results against the truth, known names first."""
    tables = []
    for stage in TRUTH_STAGES:
        values = result_of(metrics, stage)
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


def other_tables(metrics: Sequence[Metrics]) -> list[dict[str, Any]]:
    """What stages that judge nothing against a truth had to say, such as the noise that a reconstruction found."""
    tables = []
    for one in metrics:
        stage = stage_of(one)
        if stage not in TRUTH_STAGES and one.values:
            rows = [{"name": key, "value": text} for key, text in flat(one.values)]
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
    """Results of stages that saw the whole cohort: the scores in the open, everything else behind a click."""
    tables = []
    for metrics in models:
        scores = _scores(metrics.values)
        rows = [{"name": key.replace("_", " ").replace(".", ": "), "value": text} for key, text in scores.items()]
        rest = [{"name": key, "value": value} for key, value in flat(metrics.values)]
        chart = loss_chart(metrics.values.get("loss_curve"))
        tables.append({"stage": stage_of(metrics) or "results", "rows": rows, "rest": rest, "chart": chart})
    return tables


def loss_chart(curve: Any) -> Markup | None:
    """The loss over the steps of a training, where it was written down."""
    import numpy as np

    if not isinstance(curve, Mapping) or len(curve.get("step", ())) < 2:
        return None
    step, loss = (np.asarray(curve[name], dtype=np.float64) for name in ("step", "loss"))
    chart = Chart((0.0, float(step[-1])), padded(0.0, float(loss.max())), "step", "loss", "Loss over the steps.",
                  width=420, height=200)  # fmt: skip
    chart.axes()
    chart.line(step, loss, 0)
    return chart.svg()


def _scores(values: Mapping[str, Any], before: str = "", depth: int = 2) -> dict[str, str]:
    """Scores with an interval (`value`, `low`, `high`) wherever they are, and what is known of sets."""
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and isinstance(value.get("value"), int | float):
            ends = [value.get("low"), value.get("high")]
            interval = f" ({significant(ends[0])} to {significant(ends[1])})" if None not in ends else ""
            found[name] = f"{significant(value['value'])}{interval}"
        elif isinstance(value, Mapping) and depth:
            found |= _scores(value, f"{name}.", depth - 1)
        elif name in SHOWN_SCORES and value is not None:
            found[name] = significant(value)
    return found
