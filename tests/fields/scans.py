"""Phase images of a known velocity: a vessel with parabolic flow in tissue at rest, air around it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import ImageSeries, LabelMap

Floats = NDArray[np.float64]
SHAPE = (24, 22, 20)


@dataclass(frozen=True)
class Scan:
    """What the scanner stored, and the truth in encoded components (x, y, z, t, 3), m/s, without the offset."""

    phases: tuple[ImageSeries, ImageSeries, ImageSeries]
    magnitude: ImageSeries
    tissue: LabelMap
    truth: Floats
    offset: Floats
    vessel: NDArray[np.bool_]

    def inputs(self, **more: Any) -> dict[str, Any]:
        first, second, third = self.phases
        return {"phase_1": first, "phase_2": second, "phase_3": third, "magnitude": self.magnitude, **more}


def scan(
    *,
    venc: float = 1.0,
    peak: float = 2.4,
    frames: int = 1,
    noise: float = 0.0,
    offset: float = 0.0,
    levels: tuple[float, float] = (-np.pi, np.pi),
    affine: Any = None,
    radius: float = 6.0,
    seed: int = 0,
) -> Scan:
    """Flow along the third voxel axis and a little along the first; `offset` is the largest of a linear background."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1) - (np.array(SHAPE) - 1) / 2
    distance = np.hypot(place[..., 0], place[..., 1]) / radius
    profile = np.maximum(1 - distance**2, 0)
    pulse = 0.6 + 0.4 * np.cos(2 * np.pi * np.arange(frames) / frames) if frames > 1 else np.ones(1)
    truth = peak * profile[..., None, None] * pulse[:, None] * np.array([0.2, 0.0, 1.0])
    body = np.hypot(place[..., 0], place[..., 1]) < 10.6
    slope = place @ np.array([[0.03, -0.02, 0.01], [0.0, 0.03, 0.02], [0.01, 0.01, -0.03]])
    background = offset * (0.4 + slope)
    seen = truth + background[..., None, :] + noise * rng.standard_normal(truth.shape)
    phase = (seen / venc + 1) % 2 - 1
    phase = np.where(body[..., None, None], phase, rng.uniform(-1, 1, phase.shape))
    low, high = levels
    stored = low + (phase + 1) / 2 * (high - low)
    matrix = np.diag([1.5, 1.5, 2.0, 1.0]) if affine is None else affine
    first, second, third = (ImageSeries(stored[..., c], matrix) for c in range(3))
    magnitude = np.where(body, 100 + 40 * (distance < 1), 4.0) + rng.uniform(0, 2, SHAPE)
    tissue = body & (distance > 1.3)
    return Scan(
        (first, second, third), ImageSeries(magnitude.astype(np.float32), matrix),
        LabelMap(tissue.astype(np.uint8), matrix), truth, background, distance < 1,
    )  # fmt: skip
