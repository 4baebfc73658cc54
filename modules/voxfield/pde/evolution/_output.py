"""What the stage `pde.evolve` makes of its results: a series, a table, metrics, a picture and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.artifacts import ImageSeries, Metrics, Picture, Table
from voxfield.pde._figure import Row, plane_figure
from voxfield.pde.evolution._measures import ball_radius, front_speed
from voxfield.pde.geodesic import Stencil

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfield.artifacts import Image
    from voxfield.context import Context
    from voxfield.pde.evolution._march import Moment
    from voxfield.pde.evolution._problem import EvolutionProblem

SHOWN = 4


def packed(
    problem: EvolutionProblem,
    moments: Sequence[Moment],
    times: Sequence[float],
    threshold: float,
    allowed: float,
    initial: Image,
    ctx: Context,
) -> tuple[ImageSeries, Table, Metrics, Picture]:
    """The outputs of the stage."""
    domain = problem.growth.domain
    rows = _rows(problem, moments, times, threshold)
    last = moments[-1].march
    bounds = (0.0, 1.0) if problem.growth.proliferation else (problem.initial.min(), problem.initial.max())
    beyond = max(float(bounds[0]) - last.lowest, last.highest - float(bounds[1]), 0.0)
    if beyond > allowed:
        text = f"the density left its bounds by {beyond:.2g}, more than the tolerance; use a smaller one"
        ctx.finding("out-of-bounds", "warning", text, value=beyond)
    density = np.stack([domain.dense(moment.values) for moment in moments], axis=3)
    metrics = Metrics({
        "voxels": domain.size,
        "tissue_mm3": domain.size * domain.voxel_volume,
        "initial_mass": float(problem.initial.sum() * domain.voxel_volume),
        "final_mass": rows[-1]["mass"],
        "largest_imbalance": max(abs(row["imbalance"]) for row in rows),
        "error_estimate": last.error,
        "error_allowed": allowed,
        "beyond_bounds": beyond,
        "steps": last.steps,
        "refused_steps": last.refused,
        "final_front_speed_mm_per_day": rows[-1]["front_speed_mm_per_day"],
    })  # fmt: skip
    return (
        ImageSeries(density if len(times) > 1 else density[..., 0], initial.affine, unit=initial.unit),
        Table.from_rows(rows),
        metrics,
        _picture(problem, moments, times, threshold),
    )


def _rows(
    problem: EvolutionProblem, moments: Sequence[Moment], times: Sequence[float], threshold: float
) -> list[dict[str, Any]]:
    growth, stencil = problem.growth, Stencil(problem.growth.domain)
    voxel = growth.domain.voxel_volume
    rows = []
    for time, (values, march) in zip(times, moments, strict=True):
        volume = float(np.count_nonzero(values > threshold) * voxel)
        rows.append({
            "time_day": time,
            "mass": float(values.sum() * voxel),
            "volume_mm3": volume,
            "radius_mm": ball_radius(volume),
            "front_speed_mm_per_day": front_speed(growth, stencil.gradient(values), values, threshold),
            "added": march.added * voxel,
            "imbalance": float((values.sum() - problem.initial.sum() - march.added) * voxel),
            "error_estimate": march.error,
            "lowest": float(values.min()),
            "highest": float(values.max()),
        })  # fmt: skip
    return rows


def _picture(problem: EvolutionProblem, moments: Sequence[Moment], times: Sequence[float], threshold: float) -> Picture:
    domain = problem.growth.domain
    chosen = np.unique(np.linspace(0, len(times) - 1, SHOWN).round().astype(int)).tolist()
    low = min(0.0, float(problem.initial.min()))
    high = 1.0 if problem.growth.proliferation else float(problem.initial.max())
    rows = [
        Row(f"day {times[at]:g}", domain.dense(moments[at].values, np.nan), [threshold], low=low, high=high)
        for at in chosen
    ]
    return plane_figure(rows, domain.spacing, domain.dense(moments[-1].values))
