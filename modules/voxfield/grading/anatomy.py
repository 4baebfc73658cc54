"""What branches and pressure drops say about severity, as a fixed row of numbers.

Radii are never claimed across a bridge, so bridges count only as `bridges`. Two columns come from the physics
of the pressure drop at a given flow: viscous loss grows with sum L / r^4 along a path (Poiseuille), the loss
behind a throat with (1 / r_min^2 - 1 / r_distal^2)^2 (Borda-Carnot). Both are proportional to a drop, not a
drop: the flow is unknown. A number that can not be had is None.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

COLUMNS: dict[str, str] = {
    "branches": "number of branches that are no bridge",
    "bridges": "number of bridges over gaps or occlusions",
    "generation_max": "highest generation of a branch",
    "length_total_mm": "summed length of the branches",
    "length_max_mm": "length of the longest branch",
    "radius_min_mm": "smallest radius anywhere",
    "radius_mean_mm": "mean radius, weighted by length",
    "radius_max_mm": "largest mean radius of a branch",
    "stenosis_max": "largest 1 - d_min / d_distal",
    "stenosis_sum": "sum of 1 - d_min / d_distal over the branches, negative ones as 0",
    "narrowing_max": "largest 1 - r_min / r_mean of a branch",
    "path_loss_log10": "log10 of the largest sum of L / r_mean^4 from a root to an end, mm^-3",
    "throat_loss_log10": "log10 of the largest (1 / r_min^2 - 1 / r_distal^2)^2, mm^-4; -6 without a throat",
    "openings": "number of openings with a pressure",
    "pressure_range_pa": "highest minus lowest mean pressure of an opening",
    "pressure_sd_pa": "largest standard deviation among the openings' pressures",
}
NO_THROAT = 1e-6  # mm^-4, far below any throat that could be resolved


def describe(branches: Sequence[Row], drops: Sequence[Row] | None) -> dict[str, float | None]:
    """One number for each of COLUMNS.

    branches  rows of a branch table: branch, parent, generation, length_mm, radius_*_mm, stenosis, bridge
    drops     rows of a table of pressures at openings: pressure_pa, sd_pa; None where there is none
    """
    open_branches = [b for b in branches if not b.get("bridge")]
    lengths = _numbers(open_branches, "length_mm")
    return {
        "branches": float(len(open_branches)),
        "bridges": float(len(branches) - len(open_branches)),
        "generation_max": _of(max, _numbers(open_branches, "generation")),
        "length_total_mm": math.fsum(lengths) if lengths else None,
        "length_max_mm": _of(max, lengths),
        "radius_min_mm": _of(min, _numbers(open_branches, "radius_min_mm")),
        "radius_mean_mm": _weighted_radius(open_branches),
        "radius_max_mm": _of(max, _numbers(open_branches, "radius_mean_mm")),
        "stenosis_max": _of(max, _numbers(open_branches, "stenosis")),
        "stenosis_sum": _of(sum, [max(s, 0.0) for s in _numbers(open_branches, "stenosis")]),
        "narrowing_max": _of(max, list(_narrowings(open_branches))),
        "path_loss_log10": _log10(_path_loss(branches)),
        "throat_loss_log10": _log10(_of(max, list(_throats(open_branches)))),
        **_pressures(drops),
    }


def _pressures(drops: Sequence[Row] | None) -> dict[str, float | None]:
    if drops is None:
        return {"openings": None, "pressure_range_pa": None, "pressure_sd_pa": None}
    values = _numbers(drops, "pressure_pa")
    span = max(values) - min(values) if values else None
    return {
        "openings": float(len(values)),
        "pressure_range_pa": span,
        "pressure_sd_pa": _of(max, _numbers(drops, "sd_pa")),
    }


def _path_loss(branches: Sequence[Row]) -> float | None:
    """Largest sum of L / r^4 over paths from a root; a branch without a radius adds nothing."""
    rows = {name: b for b in branches if (name := b.get("branch")) is not None}
    children: dict[Any, list[Any]] = {}
    for name, branch in rows.items():
        parent = branch.get("parent")
        children.setdefault(parent if parent in rows else None, []).append(name)
    # A branch in a loop of parents is below no root, so this ends.
    best, stack = 0.0, [(name, 0.0) for name in children.get(None, [])]
    while stack:
        name, before = stack.pop()
        length, radius = (_number(rows[name], key) for key in ("length_mm", "radius_mean_mm"))
        known = not rows[name].get("bridge") and length is not None and radius is not None and radius > 0
        total = before + (length / radius**4 if known and length is not None and radius is not None else 0.0)
        best = max(best, total)
        stack += [(child, total) for child in children.get(name, [])]
    return best if best > 0 else None


def _throats(branches: Iterable[Row]) -> Iterable[float]:
    for branch in branches:
        narrow = _number(branch, "radius_min_mm")
        wide = _number(branch, "radius_distal_mm") or _number(branch, "radius_mean_mm")
        if narrow and wide:
            yield max((1 / narrow**2 - 1 / wide**2), 0.0) ** 2 + NO_THROAT


def _narrowings(branches: Iterable[Row]) -> Iterable[float]:
    for branch in branches:
        narrow, mean = _number(branch, "radius_min_mm"), _number(branch, "radius_mean_mm")
        if narrow is not None and mean:
            yield 1 - narrow / mean


def _weighted_radius(branches: Iterable[Row]) -> float | None:
    pairs = [(_number(b, "length_mm"), _number(b, "radius_mean_mm")) for b in branches]
    known = [(length, radius) for length, radius in pairs if length is not None and radius is not None]
    weight = math.fsum(length for length, _ in known)
    return math.fsum(length * radius for length, radius in known) / weight if weight > 0 else None


def _number(row: Row, key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _numbers(rows: Iterable[Row], key: str) -> list[float]:
    return [value for row in rows if (value := _number(row, key)) is not None]


def _of(rule: Callable[[list[float]], float], values: list[float]) -> float | None:
    return rule(values) if values else None


def _log10(value: float | None) -> float | None:
    return math.log10(value) if value is not None and value > 0 else None
