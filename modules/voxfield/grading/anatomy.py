"""What branches and pressure drops say about severity, as a fixed row of numbers.

Radii are never claimed across a bridge, so bridges count only as `bridges`. Two columns come from the physics
of the pressure drop along a path from a root, for an inflow of one: with s the share of the flow that a branch
carries, split at bifurcations as the cubes of the radii (Murray 1926),

    viscous loss   sum of s L / r_mean^4                            (Poiseuille)
    throat loss    sum of s^2 (1 / r_min^2 - 1 / r_distal^2)^2      (Borda-Carnot)

Both are proportional to a drop, not a drop: the flow is unknown. `nominal_drop_log10` puts them together for a
flow that everyone has by convention, of Reynolds number 100 in the widest root, with the expansion coefficient
1.52 of Young and Tsai (1973). A number that can not be had is None.
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
    "viscous_loss_log10": "log10 of the largest viscous loss of a path, mm^-3",
    "throat_loss_log10": "log10 of the largest throat loss of a path, mm^-4; at least -3",
    "nominal_drop_log10": "log10 of the largest pressure drop of a path at the nominal flow, Pa",
    "openings": "number of openings with a pressure",
    "pressure_range_pa": "highest minus lowest mean pressure of an opening",
    "pressure_sd_pa": "largest standard deviation among the openings' pressures",
}
NOMINAL_REYNOLDS = 100.0
DENSITY_KG_PER_M3 = 1060.0
VISCOSITY_PA_S = 0.0035
EXPANSION_LOSS = 1.52
NO_THROAT = 1e-3  # mm^-4: a quarter of a pascal at the nominal flow; what is below is noise of the radii


def describe(branches: Sequence[Row], drops: Sequence[Row] | None) -> dict[str, float | None]:
    """One number for each of COLUMNS.

    branches  rows of a branch table: branch, parent, generation, length_mm, radius_*_mm, stenosis, bridge
    drops     rows of a table of pressures at openings: pressure_pa, sd_pa; None where there is none
    """
    open_branches = [b for b in branches if not b.get("bridge")]
    lengths = _numbers(open_branches, "length_mm")
    viscous, throat = _losses(branches)
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
        "viscous_loss_log10": _log10(viscous),
        "throat_loss_log10": _log10(throat),
        "nominal_drop_log10": _log10(_nominal_drop(open_branches, viscous, throat)),
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


def _losses(branches: Sequence[Row]) -> tuple[float | None, float | None]:
    """Largest viscous and largest throat loss of a path from a root, at unit inflow; see the module.

    Branches without a radius, and bridges, add nothing: nothing is claimed there.
    """
    rows = {name: b for b in branches if (name := b.get("branch")) is not None}
    children: dict[Any, list[Any]] = {}
    for name, branch in rows.items():
        parent = branch.get("parent")
        children.setdefault(parent if parent in rows else None, []).append(name)
    viscous, throat = 0.0, 0.0
    # A branch in a loop of parents is below no root, so this ends.
    stack = [(name, 1.0, 0.0, 0.0) for name in children.get(None, [])]
    while stack:
        name, share, before, throats = stack.pop()
        before += share * _viscous(rows[name])
        throats += share**2 * _throat(rows[name])
        viscous, throat = max(viscous, before), max(throat, throats)
        below = children.get(name, [])
        parts = _murray([rows[child] for child in below])
        stack += [(child, share * part, before, throats) for child, part in zip(below, parts, strict=True)]
    return viscous or None, throat + NO_THROAT if viscous else None


def _nominal_drop(branches: Sequence[Row], viscous: float | None, throat: float | None) -> float | None:
    """8 mu Q / pi viscous + K rho Q^2 / (2 pi^2) throat, Pa, for Q = pi Re mu r / (2 rho)."""
    roots = [b for b in branches if not b.get("generation")] or branches
    radius = _of(max, _numbers(roots, "radius_mean_mm"))
    if viscous is None or throat is None or not radius:
        return None
    flow = math.pi * NOMINAL_REYNOLDS * VISCOSITY_PA_S * radius * 1e-3 / (2 * DENSITY_KG_PER_M3)
    friction = 8 * VISCOSITY_PA_S * flow / math.pi * viscous * 1e9
    return friction + EXPANSION_LOSS * DENSITY_KG_PER_M3 / 2 * (flow / math.pi) ** 2 * throat * 1e12


def _murray(siblings: Sequence[Row]) -> list[float]:
    """How the flow divides: as the cubes of the radii; one without a radius counts as the others' mean."""
    cubes = [radius**3 if (radius := _calibre(row)) else None for row in siblings]
    known = [cube for cube in cubes if cube is not None]
    filled = [(math.fsum(known) / len(known) if known else 1.0) if cube is None else cube for cube in cubes]
    return [cube / math.fsum(filled) for cube in filled]


def _calibre(row: Row) -> float | None:
    if row.get("bridge"):
        return None
    return _number(row, "radius_distal_mm") or _number(row, "radius_mean_mm")


def _viscous(row: Row) -> float:
    length, radius = _number(row, "length_mm"), _number(row, "radius_mean_mm")
    return length / radius**4 if length and radius and not row.get("bridge") else 0.0


def _throat(row: Row) -> float:
    narrow, wide = _number(row, "radius_min_mm"), _calibre(row)
    return max(1 / narrow**2 - 1 / wide**2, 0.0) ** 2 if narrow and wide else 0.0


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
