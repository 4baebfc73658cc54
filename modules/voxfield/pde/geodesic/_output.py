"""What the stage `pde.distance` makes of its results: images, metrics, a picture and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.artifacts import LabelMap, Metrics, PartialImage, Picture
from voxfield.pde._figure import Row, plane_figure

if TYPE_CHECKING:
    from voxfield.context import Context
    from voxfield.pde._domain import Floats, Ints
    from voxfield.pde.geodesic._problem import DistanceProblem
    from voxfield.pde.geodesic._solve import Distances

LEVELS = 12
VOXELS_APART = 2.0  # by which the methods may differ beside the error estimate: what their stencils do at a corner
SHARE_APART = 0.01


def packed(
    problem: DistanceProblem, found: Distances, mask: LabelMap, sources: LabelMap, ctx: Context
) -> tuple[PartialImage, PartialImage | None, LabelMap | None, Metrics, Picture]:
    """The outputs of the stage."""
    eikonal, heat = found
    domain, affine = problem.stencil.domain, mask.affine
    rows: list[tuple[str, Floats, bool]] = []
    metrics = _facts(problem)
    nearest = difference = None
    if heat is not None:
        values = heat.times
        metrics["heat"] = {
            "tau_error_rms": _rms(heat.tau_error),
            "tau_error_max": float(heat.tau_error.max()),
            "residual": heat.residual,
        }
    if eikonal is not None:
        values = eikonal.times
        metrics["eikonal"] = {"first_order_difference_max": float(np.abs(values - eikonal.first_order).max())}
        nearest = _nearest(problem, eikonal.source, sources, affine)
    if eikonal is not None and heat is not None:
        apart = heat.times - eikonal.times
        metrics["difference"] = _agreement(problem, apart, heat.tau_error, ctx)
        difference = PartialImage(domain.dense(apart, np.nan), affine, unit=problem.unit)
        rows.append((f"heat minus eikonal, {problem.unit}", apart, True))
    metrics["farthest"] = float(values.max())
    metrics["mean"] = float(values.mean())
    name = "distance" if problem.unit == "mm" else "arrival time"
    shown = [(f"{name}, {problem.unit}", values, False), *rows]
    levels = np.linspace(0, float(values.max()), LEVELS + 1).tolist()
    picture = plane_figure(
        [Row(title, domain.dense(v, np.nan), [] if signed else levels, signed=signed) for title, v, signed in shown],
        domain.spacing,
        domain.mask.astype(float),
    )
    distance = PartialImage(domain.dense(values, np.nan), affine, unit=problem.unit)
    return distance, difference, nearest, Metrics(metrics), picture


def _facts(problem: DistanceProblem) -> dict[str, Any]:
    labels, counts = np.unique(problem.labels, return_counts=True)
    return {
        "unit": problem.unit,
        "voxels": problem.stencil.domain.size,
        "unreached_voxels": problem.unreached,
        "source_voxels": dict(zip(labels.tolist(), counts.tolist(), strict=True)),
    }


def _agreement(problem: DistanceProblem, apart: Floats, error: Floats, ctx: Context) -> dict[str, float]:
    """How far the methods are apart, in the unit of the result and in voxels; a finding where that is too far."""
    voxel = max(problem.stencil.domain.spacing) * problem.slowness
    allowed = np.maximum(error, VOXELS_APART * voxel)
    share = float(np.mean(np.abs(apart) > allowed))
    worst = int(np.abs(apart).argmax())
    if share > SHARE_APART:
        ctx.finding(
            "methods-disagree",
            "warning",
            f"heat and eikonal differ by more than {VOXELS_APART:g} voxels and the error estimate at "
            f"{share:.1%} of the voxels, most by {apart[worst]:.3g} {problem.unit}; is the mask, or a change of speed, "
            "only a voxel thick there?",
            value=round(share, 4),
        )
    return {
        "rms": _rms(apart),
        "max": float(np.abs(apart[worst])),
        "rms_voxels": _rms(apart / voxel),
        "share_apart": share,
    }


def _nearest(problem: DistanceProblem, source: Ints, sources: LabelMap, affine: Floats) -> LabelMap:
    domain = problem.stencil.domain
    label = np.zeros(domain.size, dtype=np.int64)
    label[problem.sources] = problem.labels
    box = np.zeros(domain.mask.shape, dtype=np.int64)
    box[domain.mask] = label[source]
    return LabelMap(box, affine, labels=sources.labels)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
