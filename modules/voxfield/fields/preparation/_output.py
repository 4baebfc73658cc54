"""PC-MRA, metrics and findings of `fields.prepare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.preparation._background import Background
from voxfield.stage import Context

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

NEAR = 0.05
"""Share of venc around an odd multiple of it within which a voxel sits on the edge between two counts of turns."""


@dataclass
class Prepared:
    """What was done to the three encoded components.

    venc        (3,) m/s
    velocity    (x, y, z, t, 3) m/s, encoded components
    turns       (x, y, z, t, 3)
    ambiguous   (x, y, z, t, 3) bool
    static      (x, y, z)
    background  by component, None where none was fitted
    noise       (3,) m/s
    near_venc   voxels whose measured phase lies at the very ends of the range
    """

    scale: tuple[float, float]
    venc: Floats
    velocity: Floats
    turns: Ints
    ambiguous: Mask
    signal: Mask
    static: Mask
    noise: Floats
    near_venc: int
    background: list[Background | None] = field(default_factory=list)


def angiogram(velocity: Floats, magnitude: Floats | None) -> Floats:
    """PC-MRA (x, y, z): root mean square over frames of speed times magnitude, the magnitude relative to its mean.

    After Markl et al., "4D flow MRI" (JMRI 36, 2012): flowing blood is bright, tissue at rest and air are dark.
    """
    speed = np.square(velocity).sum(axis=-1)
    if magnitude is not None:
        speed = speed * np.square(magnitude / magnitude.mean())
    return np.asarray(np.sqrt(speed.mean(axis=3)))


def metrics(done: Prepared, names: tuple[str, ...]) -> dict[str, Any]:
    """One entry a component, and what belongs to all."""
    return {
        "unit": "m/s",
        "phase_range": list(done.scale),
        "signal_voxels": int(done.signal.sum()),
        "static_voxels": int(done.static.sum()),
        "components": [_component(done, place, name) for place, name in enumerate(names)],
    }


def tell(done: Prepared, ctx: Context, *, magnitude: bool, given: bool, unwrapped: bool) -> None:
    """Findings worth a reader's time."""
    if not magnitude:
        text = "no magnitude image: signal is where the phase is smooth, and all of it weighs alike"
        ctx.finding("no-magnitude", "warning", text)
    if done.velocity.shape[3] == 1 and not given:
        text = "a single frame: tissue at rest is told from flow by a robust fit alone; give a mask if most voxels flow"
        ctx.finding("static-from-one-frame", "info", text)
    open_voxels = int(done.ambiguous.any(axis=-1).sum())
    if open_voxels:
        what = "another turn would agree with the neighbours nearly as well" if unwrapped else "phases seem wrapped"
        advice = "check the velocity there, or scan with a higher venc" if unwrapped else "set unwrap"
        ctx.finding("wraps-ambiguous", "warning", f"{open_voxels} voxels: {what}; {advice}", value=open_voxels)
    if done.near_venc:
        text = f"{done.near_venc} voxels have a phase within {100 * NEAR:g} % of half a turn: noise may add one there"
        ctx.finding("near-venc", "info", text, value=done.near_venc)
    missing = [place + 1 for place, fit in enumerate(done.background) if fit is None]
    if missing:
        text = f"too little tissue at rest for the background of component {', '.join(map(str, missing))}; none removed"
        ctx.finding("background-not-corrected", "warning", text, value=missing)


def near_venc(phases: Floats, signal: Mask) -> int:
    """Voxels and frames of the signal where a measured phase (c, x, y, z, t), radians, is close to half a turn."""
    ends = np.abs(phases) > (1 - NEAR) * np.pi
    return int((ends.any(axis=0) & signal[..., None]).sum())


def _component(done: Prepared, place: int, name: str) -> dict[str, Any]:
    turns = done.turns[..., place]
    fit = done.background[place] if done.background else None
    values: dict[str, Any] = {
        "direction": name,
        "venc_m_per_s": float(done.venc[place]),
        "noise_sd_m_per_s": float(done.noise[place]) if np.isfinite(done.noise[place]) else None,
        "voxels_unwrapped": int((turns != 0).sum()),
        "most_turns": int(np.abs(turns).max()),
        "voxels_ambiguous": int(done.ambiguous[..., place].sum()),
    }
    if fit is None:
        return {**values, "background": None}
    x, y, z = done.static.shape
    offset = fit.offset((x, y, z))[done.signal]
    return {
        **values,
        "background": {
            "order": fit.order,
            "coefficients_m_per_s": fit.coefficients,
            "validation_error_m_per_s": fit.errors,
            "static_rms_before_m_per_s": fit.before,
            "static_rms_after_m_per_s": fit.after,
            "largest_offset_m_per_s": float(np.abs(offset).max()),
            "offset_sd_m_per_s": float(fit.sd(np.argwhere(done.signal), (x, y, z)).mean()),
        },
    }
