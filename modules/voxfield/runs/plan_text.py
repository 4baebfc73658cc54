"""A plan as text: a line for every stage, the sums, and what the range is worth."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from voxfield.runs.costs import Costs
from voxfield.runs.plan import NOTHING, Range, StagePlan

HOUR, GB = 3600.0, 1e9
HEAD = ("stage", "CPU h", "h, one job at a time", "peak MB", "GB", "files")


def plan_text(
    plans: Sequence[StagePlan],
    around: Range,
    suggested: Mapping[str, Mapping[str, int]],
    *,
    costs: Costs,
    count: int,
    sized: bool,
    cores: int,
    run: Path,
) -> str:
    """What `voxfield plan` prints.

    around     CPU seconds around the stages
    suggested  resources to raise
    sized      whether the sizes of the scans are known
    cores      jobs at a time
    """
    scans = [plan for plan in plans if not plan.once]
    once = [plan for plan in plans if plan.once]
    rows = [HEAD, *map(_row, scans), _sum("all scans", scans), *map(_row, once), _sum("paid once", once)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    table = [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    cpu = _total(plan.cpu_s for plan in plans) + around
    serial = _total(plan.wall_s for plan in once)
    wall = _total(plan.wall_s for plan in scans) * (1 / cores) + around * (1 / cores) + serial
    disk, kept = _total(plan.bytes for plan in plans), _total(plan.kept for plan in plans)
    files = sum(plan.files for plan in plans) + costs.own_files / len(costs.scans) * count
    measured = f"{len(costs.scans)} scan{'s' if len(costs.scans) > 1 else ''}"
    lines = [
        f"{count} scans, from the records of {measured} in {run.name}; in brackets the range",
        "",
        *table,
        "",
        f"CPU            {_range(cpu, HOUR)} h, of which {_range(around, HOUR)} h around the stages",
        f"time           {_range(wall, HOUR)} h with {cores} job{'s' if cores > 1 else ''} at a time",
        f"disk           {_range(disk, GB)} GB" + ("" if kept == disk else f"; {_range(kept, GB)} GB stay (`keep`)"),
        f"files          {_number(files)}",
        "",
        _worth(len(costs.scans), sized),
    ]
    if suggested:
        needs = [
            f"  {stage}: {{{', '.join(f'{k}: {v}' for k, v in need.items())}}}" for stage, need in suggested.items()
        ]
        lines += ["", "the largest scan may need more than a job is given; set", "", "resources:", *needs]
    return "\n".join(lines) + "\n"


def _worth(measured: int, sized: bool) -> str:
    spread = "half of it to its double, a rule of thumb" if measured == 1 else "the cheapest to the dearest of them"
    size = "costs grow with voxels (not at all, in proportion, by the power 1.5)" if sized else "all scans of one size"
    few = "one scan was measured" if measured == 1 else f"{measured} scans were measured"
    return f"{few}: the range is {spread}; {size}. What is paid once is as it was measured."


def _row(plan: StagePlan) -> tuple[str, ...]:
    sizes = (_range(plan.cpu_s, HOUR), _range(plan.wall_s, HOUR), f"{plan.memory_mb:.0f}", _range(plan.bytes, GB))
    return (plan.stage, *sizes, _number(plan.files))


def _sum(name: str, plans: Sequence[StagePlan]) -> tuple[str, ...]:
    peak = max((plan.memory_mb for plan in plans), default=0.0)
    cpu, wall = _total(plan.cpu_s for plan in plans), _total(plan.wall_s for plan in plans)
    size = _total(plan.bytes for plan in plans)
    files = _number(sum(plan.files for plan in plans))
    return (f"= {name}", _range(cpu, HOUR), _range(wall, HOUR), f"{peak:.0f}", _range(size, GB), files)


def _total(ranges: Iterable[Range]) -> Range:
    return sum(ranges, NOTHING)


def _range(value: Range, unit: float) -> str:
    middle = _number(value.middle / unit)
    if value.low == value.high:
        return middle
    return f"{middle} ({_number(value.low / unit)}-{_number(value.high / unit)})"


def _number(value: float) -> str:
    """Two digits that count; whole from 100 on."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.2g}"
