"""What the pressures of many samples say together: voxel statistics and the drop at every opening.

A voxel counts where at least half of the samples hold it, and its mean and standard deviation are over
those that do. Since every sample has its own velocity and its own lumen, their standard deviation holds both
sources, within plus between lumens. The error of the voxels, which all samples share, is added in squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxfield.pde._domain import Floats
    from voxfield.pde._posterior import PressurePosterior
    from voxfield.pde._relative import LumenPressure

MMHG = 133.322
"""Pascal in a millimetre of mercury."""


def voxel_statistics(posterior: PressurePosterior) -> tuple[Floats, Floats]:
    """Mean and standard deviation (t, n), 0 where too few samples hold a voxel."""
    held = posterior.held
    count = held.sum(axis=0)
    kept = (2 * count >= posterior.solved.sum()) & (count >= 2)
    weights = held / np.maximum(count, 1)
    mean = np.einsum("stn,sn->tn", posterior.values, weights, dtype=float)
    spread = (posterior.values - mean) ** 2
    variance = np.einsum("stn,sn->tn", spread, weights, dtype=float) * count / np.maximum(count - 1, 1)
    variance += posterior.grid_sd**2
    return np.where(kept, mean, 0.0), np.where(kept, np.sqrt(variance), 0.0)


def drop_rows(posterior: PressurePosterior, names: Mapping[int, str], reference: int) -> list[dict[str, Any]]:
    """One row a frame and opening; numbers are None where they can not be had."""
    frames = posterior.planes.shape[1]
    return [
        _row(posterior, names, reference, frame, place)
        for frame in range(frames)
        for place in range(len(posterior.labels))
    ]


def _row(
    posterior: PressurePosterior, names: Mapping[int, str], reference: int, frame: int, place: int
) -> dict[str, Any]:
    label = posterior.labels[place]
    pressure, spread, count = _spread(posterior.planes[:, frame, place])
    error = posterior.grid_plane_sd.get(label)
    grid = None if error is None else float(error[frame])
    sd = None if spread is None or grid is None else float(np.hypot(spread, grid))
    work, work_sd, _ = _spread(posterior.work_energy[:, frame, place])
    stokes, stokes_sd, _ = _spread(posterior.stokes[:, frame, place])
    field = posterior.mean_field
    return {
        "opening": label,
        "name": names[label],
        "pressure_pa": pressure,
        "sd_pa": sd,
        "sd_samples_pa": spread,
        "sd_discretisation_pa": grid,
        "pressure_mmhg": _mmhg(pressure),
        "sd_mmhg": _mmhg(sd),
        "reference": int(label == reference),
        "frame": frame,
        "samples": count,
        "mean_field_mmhg": _mmhg(_of(field, "planes", label, frame)),
        "work_energy_mmhg": _mmhg(work),
        "work_energy_sd_mmhg": _mmhg(work_sd),
        "stokes_mmhg": _mmhg(stokes),
        "stokes_sd_mmhg": _mmhg(stokes_sd),
        "bernoulli_mmhg": _bernoulli(field, reference, label, frame),
        "flow_ml_per_s": _scaled(_of(field, "fluxes", label, frame), 1e6),
        "peak_speed_m_per_s": _of(field, "speeds", label, frame),
        "voxels_across": posterior.across.get(label),
    }


def _spread(values: Floats) -> tuple[float | None, float | None, int]:
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return (float(known[0]) if len(known) else None), None, len(known)
    return float(known.mean()), float(known.std(ddof=1)), len(known)


def _of(field: LumenPressure | None, quantity: str, label: int, frame: int) -> float | None:
    if field is None or label not in field.planes:
        return None
    return float(getattr(field, quantity)[label][frame])


def _bernoulli(field: LumenPressure | None, reference: int, label: int, frame: int) -> float | None:
    """Pressure of the opening above the reference by 4 (v_reference^2 - v^2), mmHg for speeds in m/s."""
    speed, start = _of(field, "speeds", label, frame), _of(field, "speeds", reference, frame)
    return None if speed is None or start is None else 4 * (start**2 - speed**2)


def _mmhg(pascal: float | None) -> float | None:
    return _scaled(pascal, 1 / MMHG)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
