"""What the stage pde.pressure makes of its results: findings, and artifacts on the grid of the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.artifacts import FieldSamples, ImageSeries, Metrics, Table
from voxfield.errors import InputError
from voxfield.pde._summary import MMHG, drop_rows, voxel_statistics

if TYPE_CHECKING:
    from voxfield.context import Context
    from voxfield.pde._domain import Floats
    from voxfield.pde._posterior import Method, PressurePosterior

FEWEST_ACROSS = 5
REPORTED = (
    "frame", "name", "pressure_pa", "sd_pa", "sd_samples_pa", "sd_discretisation_pa", "pressure_mmhg", "sd_mmhg",
)  # fmt: skip
CRUMBS = 0.01  # share of the voxels up to which loose ones are what drawing a wall leaves behind


def judge(
    posterior: PressurePosterior, names: dict[int, str], method: Method, samples: FieldSamples, ctx: Context
) -> None:
    """Say what is worth telling; raise InputError where no sample has a pressure."""
    name = names[method.reference]
    total, lost = len(posterior.solved), int((~posterior.solved).sum())
    if lost == total:
        raise InputError(
            f"none of the {total} lumens touches the opening {method.reference} ({name}); "
            "expected the reference on the lumen; choose another one",
            file=samples.file,
        )
    if lost:
        ctx.finding(
            "samples-lost",
            "warning",
            f"{lost} of {total} lumens do not touch the reference {name}; they are left out",
            value=lost,
        )
    if posterior.unreached > 0:
        crumbs = posterior.unreached < CRUMBS * posterior.held[posterior.solved].sum(axis=1).mean()
        ctx.finding(
            "disconnected-lumen",
            "info" if crumbs else "warning",
            f"{posterior.unreached:.1f} voxels a sample have no path to the reference {name}: no pressure",
            value=round(posterior.unreached, 1),
        )
    if posterior.residual > 10 * method.rtol:
        ctx.finding(
            "not-converged",
            "warning",
            f"the relative residual is {posterior.residual:.2g} after {posterior.iterations} iterations; "
            f"wanted {method.rtol:.2g}",
            value=posterior.residual,
        )
    _judge_openings(posterior, names, name, ctx)


def _judge_openings(posterior: PressurePosterior, names: dict[int, str], reference: str, ctx: Context) -> None:
    known = np.isfinite(posterior.planes)
    unreached = [names[label] for place, label in enumerate(posterior.labels) if not known[..., place].any()]
    if unreached:
        ctx.finding(
            "opening-unreached",
            "warning",
            f"no pressure at {', '.join(unreached)}: not on the lumen that {reference} opens into",
            value=unreached,
        )
    narrow = {names[label]: across for label, across in posterior.across.items() if across < FEWEST_ACROSS}
    if narrow:
        worst = min(narrow.values())
        ctx.finding(
            "throat-unresolved",
            "warning",
            f"{worst:.1f} voxels across the throat on the way to {', '.join(narrow)}; fewer than {FEWEST_ACROSS} "
            "do not resolve its pressure drop; reconstruct on a finer grid",
            value=round(worst, 1),
        )


def packed(
    posterior: PressurePosterior, names: dict[int, str], method: Method, samples: FieldSamples
) -> tuple[ImageSeries, ImageSeries, FieldSamples, Table, Metrics]:
    """Mean, standard deviation, samples, drops and metrics."""
    mean, sd = voxel_statistics(posterior)
    reached = posterior.held.any(axis=0)
    mask = np.zeros_like(samples.mask)
    mask[samples.mask] = reached
    rows = drop_rows(posterior, names, method.reference)
    values = posterior.values[:, :, reached, None]
    held = posterior.held[:, reached]
    return (
        _image(mean, samples),
        _image(sd, samples),
        FieldSamples(values, mask, samples.affine, inside=held, unit="Pa"),
        Table.from_rows(rows),
        Metrics(_metrics(posterior, rows, names[method.reference], method)),
    )


def _image(values: Floats, samples: FieldSamples) -> ImageSeries:
    """Values (t, n) at the voxels of the samples as a volume, without the time axis for a single frame."""
    box = np.zeros((*samples.mask.shape, len(values)), dtype=np.float32)
    box[samples.mask] = values.T
    return ImageSeries(box if len(values) > 1 else box[..., 0], samples.affine, unit="Pa")


def _metrics(
    posterior: PressurePosterior, rows: list[dict[str, Any]], reference: str, method: Method
) -> dict[str, Any]:
    field = posterior.mean_field
    known = [row for row in rows if row["pressure_mmhg"] is not None and not row["reference"]]
    heights = [0.0, *(row["pressure_mmhg"] for row in known)]
    biases = [row["mean_field_mmhg"] - row["pressure_mmhg"] for row in known if row["mean_field_mmhg"] is not None]
    return {
        "reference": reference,
        "density_kg_per_m3": method.fluid.density,
        "viscosity_pa_s": method.fluid.viscosity,
        "mmhg_pa": MMHG,
        "samples": int(posterior.solved.sum()),
        "frames": posterior.planes.shape[1],
        "voxels": int(posterior.held.any(axis=0).sum()),
        "openings": [{key: row[key] for key in REPORTED} for row in known],
        "largest_difference_mmhg": max(heights) - min(heights),
        "mean_field_bias_mmhg": max(biases, key=abs, default=None),
        "peak_speed_m_per_s": None if field is None else float(field.peaks.max()),
        "voxels_across_throat": min(posterior.across.values(), default=None),
        "residual": posterior.residual,
        "iterations": posterior.iterations,
    }
