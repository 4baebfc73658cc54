"""The settings that the evidence prefers, by a simplex search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import Bounds as Limits
from scipy.optimize import minimize

from voxfield.fields._model import Model
from voxfield.fields._prior import Real
from voxfield.fields._score import Score

STEPS = np.array([0.3, 0.7, 0.5])  # of the first simplex: log length, log noise ratio, exponent


@dataclass(frozen=True)
class Bounds:
    """Where the settings are looked for."""

    length_mm: tuple[float, float]
    noise_ratio: tuple[float, float] = (1e-6, 1e2)
    partial: tuple[float, float] = (0.0, 4.0)


def fit(evidence: Callable[[Model], Score], start: Model, bounds: Bounds, *, evaluations: int) -> Model:
    """Move length, noise ratio and partial-volume exponent to where the evidence is largest (Nelder and Mead 1965)."""

    def model(place: Real) -> Model:
        length, noise = np.exp(place[:2])
        return replace(start, length_mm=float(length), noise_ratio=float(noise), partial=float(place[2]))

    def loss(place: Real) -> float:
        value = evidence(model(place)).log_evidence
        return -value if np.isfinite(value) else 1e12

    lowest, highest = np.array([np.log(bounds.length_mm), np.log(bounds.noise_ratio), bounds.partial]).T
    first = np.array([np.log(start.length_mm), np.log(start.noise_ratio), start.partial])
    first = np.clip(first, lowest, highest)
    # A step that leaves the bounds turns back: clipped, it would leave a simplex that can not move along its axis.
    steps = np.where(first + STEPS > highest, -STEPS, STEPS)
    found = minimize(
        loss,
        first,
        method="Nelder-Mead",
        bounds=Limits(lowest, highest),
        options={
            "initial_simplex": np.clip(first + np.vstack([np.zeros(3), np.diag(steps)]), lowest, highest),
            "maxfev": evaluations,
            "xatol": 0.02,
            "fatol": 0.3,
        },
    )
    return model(np.asarray(found.x))
