"""From the arrays of a reconstruction to its artifacts, metrics and findings."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxfield.artifacts import FaceFlux, FieldSamples, LabelMap, Metrics, PartialVectorImage, VectorImage
from voxfield.fields._evidence import BLOCK, EXACT_LIMIT
from voxfield.fields._faces import WALL, Faces
from voxfield.fields._prior import Int, Real
from voxfield.fields._problem import Problem
from voxfield.fields._raw_flow import RawFlow, RawFlows
from voxfield.fields._reconstruction import Result, describe
from voxfield.stage import Context

Packed = tuple[VectorImage, VectorImage, FieldSamples, FaceFlux, LabelMap, Metrics]
OPENING = 2
UNCERTAIN = 0.05
"""Weight of another level above which the place of the wall is called uncertain."""
CONVERGED = 1e-2
"""Relative residual above which a draw is called unconverged."""


def packed(problem: Problem, result: Result, velocity: PartialVectorImage, unit: str | None) -> Packed:
    """Embed everything in the fine grid, with vectors along the world axes."""
    window, affine = problem.window, problem.window.grid.affine
    axes = velocity.grid.axes
    turned = np.square(axes)  # the voxel axes are (nearly) those of the world, or the mixing of variances is ignored
    mean = _dense(result, result.mean @ axes.T)
    sd = _dense(result, np.sqrt(np.square(result.sd) @ turned.T))
    union = np.asarray(window.embed(result.union))
    samples = FieldSamples(result.samples @ axes.T.astype(np.float32), union, affine, inside=result.inside, unit=unit)
    return (
        VectorImage(window.embed(mean), affine, unit=unit),
        VectorImage(window.embed(sd), affine, unit=unit),
        samples,
        _flux(problem, result, unit),
        LabelMap(window.embed(result.lumen.astype(np.uint8)), affine, labels={1: "lumen"}),
        Metrics(_metrics(problem, result, velocity, unit)),
    )


def tell(problem: Problem, result: Result, ctx: Context) -> None:
    """Findings worth a reader's time."""
    model, weights = result.choice.model, result.choice.level_weight
    count, frames = len(problem.measured.voxels), problem.measured.values.shape[2]
    if model.condition == "none" and problem.wishes.condition is None:
        best = max((r for r in result.choice.rivals if r["condition"] != "none"), key=lambda r: r["log_evidence"])
        loss = result.choice.score.log_evidence - best["log_evidence"]
        text = f"no wall condition explains the data better than the best one ({best['condition']}) by {loss:.1f} nats"
        ctx.finding("no-wall-condition", "info", f"{text}; flux crosses the wall of voxels", value=loss)
    if model.condition != "none" and max(weights.values()) < 1 - UNCERTAIN:
        shares = ", ".join(f"{level:g}: {weight:.2f}" for level, weight in weights.items())
        ctx.finding("wall-level-uncertain", "info", f"posterior weights of the wall levels are {shares}")
    if count > EXACT_LIMIT:
        text = f"{count} voxels: the evidence is a composite of exact evidences of blocks of up to {BLOCK}"
        ctx.finding("evidence-by-blocks", "info", text, value=count)
    if frames > 1:
        _tell_frames(frames, result, ctx)
    _tell_quality(problem, result, ctx)
    if result.at_bound:
        text = f"length scale {model.length_mm:.3g} mm is the longest that the box allows; the field is smoother still"
        ctx.finding("length-at-bound", "info", text, value=model.length_mm)
    residual = max(s.residual for s in result.solutions)
    if residual > CONVERGED:
        text = f"conjugate gradients stopped at residual {residual:.2g}"
        ctx.finding("not-converged", "warning", text, value=residual)


def _tell_frames(frames: int, result: Result, ctx: Context) -> None:
    if result.time_length is None:
        ctx.finding("frames-independent", "info", f"{frames} frames are reconstructed one by one", value=frames)
        return
    text = f"{frames} frames of one cycle are told together, periodic kernel of length {result.time_length:.2g}"
    ctx.finding("frames-joined", "info", text, value=result.time_length)


def _tell_quality(problem: Problem, result: Result, ctx: Context) -> None:
    quality, count = result.quality, problem.measured.values[:, 0].size
    missing = _missing(problem)
    if missing:
        text = f"{missing} of {count} vectors in the lumen are NaN: not measured"
        ctx.finding("missing-velocities", "info", text, value=missing)
    if len(quality.outliers):
        text = (
            f"{len(quality.outliers)} of {count} vectors in the lumen disagree with those around them by more than "
            "noise explains and are left out; the metrics list their voxels and frames"
        )
        ctx.finding("outliers", "warning", text, value=len(quality.outliers))


def _raw_entry(name: str, flow: RawFlow) -> dict[str, float]:
    return {f"{name}_raw": flow.outflow, f"{name}_raw_sd": flow.sd}


def _missing(problem: Problem) -> int:
    return int(np.isnan(problem.measured.values).any(axis=1).sum())


def _places(problem: Problem, outliers: Int) -> list[list[int]]:
    """Voxel of the measurement and frame of every outlier."""
    start = np.append(problem.window.start // problem.observation.box.refine, 0)
    places: list[list[int]] = (outliers + start).tolist()
    return places


def _dense(result: Result, values: Real) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Values (t, n, 3) at the cells told as (x, y, z, t, 3)."""
    field = np.zeros((*result.told.shape, values.shape[0], 3), dtype=np.float32)
    field[result.told] = np.moveaxis(values, 0, 1)
    return field


def _mean_flux(result: Result) -> Faces:
    u, v, w = (np.mean([flux[axis] for flux in result.flux], axis=0) for axis in range(3))
    return u, v, w


def _flux(problem: Problem, result: Result, unit: str | None) -> FaceFlux:
    window = problem.window
    whole = []
    for axis, face in enumerate(_mean_flux(result)):
        shape = [n + (a == axis) for a, n in enumerate(window.grid.shape)]
        array = np.zeros(shape)
        array[tuple(slice(int(a), int(a) + n) for a, n in zip(window.start, face.shape, strict=True))] = face
        whole.append(array)
    u, v, w = whole
    return FaceFlux(u, v, w, np.asarray(window.embed(result.lumen)), window.grid.affine, unit=unit)


def _metrics(problem: Problem, result: Result, velocity: PartialVectorImage, unit: str | None) -> dict[str, Any]:
    faces, flux = result.faces, _mean_flux(result)
    noise_sd = float(np.sqrt(result.choice.score.variance * result.choice.model.noise_ratio))
    raw = RawFlows(velocity, problem.window, problem.observation, faces, noise_sd)
    labels = sorted({int(k) for label in faces.labels for k in np.unique(label) if k >= OPENING})
    openings = {str(k): {"outflow": faces.flow(flux, k), **_raw_entry("outflow", raw.through([k]))} for k in labels}
    passing = sum(faces.passing(flux, k) for k in labels)
    wall = faces.passing(flux, WALL)
    divergence = np.abs(faces.divergence(flux)).max() * min(faces.spacing)
    speed = max(float(np.abs(f).max()) for f in flux)
    return {
        **describe(result.choice),
        "evidence": "exact" if len(problem.measured.voxels) <= EXACT_LIMIT else f"composite, blocks of {BLOCK}",
        "unit": unit,
        "measured_voxels": len(problem.measured.voxels),
        "lumen_cells": int(result.lumen.sum()),
        "refine": problem.observation.box.refine,
        "observation": problem.observation.operator,
        "alignment": problem.observation.alignment,
        "flux_divergence": float(divergence / speed) if speed > 0 else 0.0,
        "sample_divergence": result.divergence,
        "missing": _missing(problem),
        "outliers": _places(problem, result.quality.outliers),
        "time_length": result.time_length,
        "openings": openings,
        "flow_unit": None if unit is None else f"{unit} mm^2",
        "net_outflow": sum(o["outflow"] for o in openings.values()),
        **_raw_entry("net_outflow", raw.through(labels)),
        "through_openings": passing,
        "through_wall": wall,
        "mean_sd": float(result.sd[:, result.lumen[result.told]].mean()),
        "spread_ratio": result.spread_ratio,
        "iterations": max(s.iterations for s in result.solutions),
        "residual": max(s.residual for s in result.solutions),
    }
