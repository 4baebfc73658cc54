"""Tables of a subject as a page shows them: columns in words, numbers with units, a dash for what is missing."""

from collections.abc import Callable, Sequence
from typing import Any

from voxfield.artifacts import Table
from voxfield.report._numbers import MINUS, PASCAL_PER_MMHG, fixed, percent, significant, with_sd

NO_PARENT = -1
KINDS = ("source", "sink", "vortex", "saddle")
CLUSTERS = ("x_mm", "y_mm", "z_mm", "spread_mm", "index", "probability", *KINDS)
Column = tuple[str, str, Callable[[Any], str], bool]  # column, label, wording, numeric


def require_columns(table: Table | None, names: Sequence[str]) -> None:
    """Raise InputError where a table that is there lacks one of these columns."""
    if table is not None:
        for name in names:
            table.column(name)


def _mm(value: Any) -> str:
    return fixed(value, 2)


BRANCHES: tuple[Column, ...] = (
    ("branch", "branch", significant, True),
    ("parent", "parent", lambda v: significant(None if v == NO_PARENT else v), True),
    ("generation", "generation", significant, True),
    ("length_mm", "length, mm", lambda v: fixed(v, 1), True),
    ("radius_mean_mm", "mean radius, mm", _mm, True),
    ("radius_min_mm", "smallest radius, mm", _mm, True),
    ("radius_distal_mm", "distal radius, mm", _mm, True),
    ("stenosis", "stenosis", lambda v: percent(v, 0), True),
    ("bridge", "bridge", lambda v: "yes" if v else "", False),
)


STENOSES: tuple[Column, ...] = (
    ("vessel", "vessel", significant, True),
    ("grade", "grade", str, False),
    ("degree_percent", "degree, %", lambda v: fixed(v, 0), True),
    ("sd_percent", "sd, %", lambda v: fixed(v, 0), True),
    ("at_least_percent", "at least, %", lambda v: fixed(v, 0), True),
    ("d_min_mm", "smallest diameter, mm", _mm, True),
    ("d_reference_mm", "reference diameter, mm", _mm, True),
    ("reference", "reference", lambda v: v or "", False),
    ("x_mm", "x, mm", lambda v: fixed(v, 1), True),
    ("y_mm", "y, mm", lambda v: fixed(v, 1), True),
    ("z_mm", "z, mm", lambda v: fixed(v, 1), True),
    ("reason", "why not", lambda v: v or "", False),
)


def known_columns(table: Table, columns: Sequence[Column]) -> dict[str, Any]:
    """The columns of a table that are known by name."""
    shown = [column for column in columns if column[0] in table.columns]
    if not any(table.columns.get("bridge", ())):
        shown = [column for column in shown if column[0] != "bridge"]  # no row has anything to say there
    return {
        "columns": [{"label": label, "numeric": numeric} for _, label, _, numeric in shown],
        "rows": [
            [_cell(row[name], write(row[name]), numeric) for name, _, write, numeric in shown] for row in table.rows()
        ],
    }


BRIDGES: tuple[Column, ...] = (
    ("bridge", "bridge", significant, True),
    ("kind", "kind", str, False),
    ("length_mm", "length, mm", _mm, True),
    ("probability", "mean probability", _mm, True),
    ("voxels", "voxels", significant, True),
)


def drop_table(drops: Table, moment: int) -> dict[str, Any]:
    """Pressure at the openings of one frame: Pa and mmHg with standard deviations, flow and peak speed where known."""
    rows = [row for row in drops.rows() if row.get("frame") in (None, moment)]
    labels = {
        "sd_samples_pa": "sd by samples, Pa",
        "sd_discretisation_pa": "sd by voxels, Pa",
        "flow_ml_per_s": "outward flow, ml/s",
        "peak_speed_m_per_s": "peak speed, m/s",
        "voxels_across": "voxels across",
    }
    known = [name for name in labels if name in drops.columns]
    columns = [
        {"label": "opening", "numeric": False},
        *({"label": f"pressure, {u}", "numeric": True} for u in ("Pa", "mmHg")),
    ]
    columns += [{"label": labels[name], "numeric": True} for name in known]
    return {"columns": columns, "rows": [_drop_cells(row, known) for row in rows]}


ESTIMATES = {
    "pressure": "weak form, mmHg",
    "stokes": "Stokes problem, mmHg",
    "work_energy": "virtual work, mmHg",
    "bernoulli": "peak speeds, mmHg",
}
"""Estimators of a pressure drop: what their columns in the table of drops begin with, and what the page calls them."""


def estimate_table(drops: Table, moment: int) -> dict[str, Any] | None:
    """What every estimator finds at the openings of one frame, by the samples alone; None where there is but one."""
    known = [name for name in ESTIMATES if f"{name}_mmhg" in drops.columns]
    rows = [row for row in drops.rows() if row.get("frame") in (None, moment) and not row.get("reference")]
    if len(known) < 2 or not rows:
        return None
    columns = [{"label": "opening", "numeric": False}]
    columns += [{"label": ESTIMATES[name], "numeric": True} for name in known]
    return {"columns": columns, "rows": [_estimate_cells(row, known) for row in rows]}


def _estimate_cells(row: dict[str, Any], known: list[str]) -> list[dict[str, Any]]:
    samples = row.get("sd_samples_pa")
    spreads = {**row, "pressure_sd_mmhg": samples and samples / PASCAL_PER_MMHG}
    cells = [_cell(row["name"], str(row["name"]), False)]
    for name in known:
        value = row[f"{name}_mmhg"]
        cells.append(_cell(value, with_sd(value, spreads.get(f"{name}_sd_mmhg")), True))
    return cells


def _drop_cells(row: dict[str, Any], known: list[str]) -> list[dict[str, Any]]:
    pressure, sd = row["pressure_pa"], row.get("sd_pa")
    name = f"{row['name']} (reference)" if row.get("reference") else str(row["name"])
    in_mmhg = None if pressure is None else pressure / PASCAL_PER_MMHG
    cells = [
        _cell(name, name, False),
        _cell(pressure, with_sd(pressure, sd), True),
        _cell(in_mmhg, with_sd(in_mmhg, sd and sd / PASCAL_PER_MMHG), True),
    ]
    return cells + [_cell(row[name], significant(row[name]), True) for name in known]


def likeliest(clusters: Table, count: int) -> list[dict[str, Any]]:
    """Rows of the singularities with the highest probabilities."""
    return sorted(clusters.rows(), key=lambda row: -row["probability"])[:count]


def cluster_table(clusters: Table, count: int) -> dict[str, Any]:
    """The likeliest singularities."""
    shares = ("probability", *KINDS)
    labels = ("place, mm", "spread, mm", "index", *shares)
    columns = [{"label": label, "numeric": label != labels[0]} for label in labels]
    return {"columns": columns, "rows": [_cluster_cells(row, shares) for row in likeliest(clusters, count)]}


def _cluster_cells(row: dict[str, Any], shares: Sequence[str]) -> list[dict[str, Any]]:
    place = ", ".join(fixed(row[f"{axis}_mm"], 1) for axis in "xyz")
    cells = [
        _cell(place, place, False),
        _cell(row["spread_mm"], fixed(row["spread_mm"], 1), True),
        _cell(row["index"], f"{row['index']:+d}".replace("-", MINUS), True),
    ]
    return cells + [_cell(row[name], percent(row[name], 0), True) for name in shares]


def _cell(value: Any, text: str, numeric: bool) -> dict[str, Any]:
    return {"value": "" if value is None else value, "text": text, "numeric": numeric}
