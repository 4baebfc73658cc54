"""Samples of Poiseuille flow in a tube of any direction, with the answers in closed form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Centerline, FieldSamples, Image

Floats = NDArray[np.float64]
AXIS = np.array([0.35, -0.2, 1.0])
SAMPLES = 16


@dataclass(frozen=True)
class Channel:
    """A tube of radius R, mm, with peak speed U, m/s, along `axis` through the origin of the world."""

    samples: FieldSamples
    probability: Image
    centerline: Centerline
    radius: float
    peak: float
    axis: Floats

    @property
    def flow(self) -> float:
        """ml/s."""
        return np.pi * self.radius**2 * self.peak / 2

    def shear(self, viscosity: float) -> float:
        """4 mu Q / (pi R^3), Pa."""
        return 4 * viscosity * self.flow * 1e-6 / (np.pi * (self.radius * 1e-3) ** 3)

    def inputs(self) -> dict[str, Any]:
        return {"samples": self.samples, "probability": self.probability, "centerline": self.centerline}


def channel(
    *,
    across: float = 9.0,
    axis: Floats = AXIS,
    radius: float = 3.0,
    peak: float = 0.6,
    length: float = 22.0,
    turn: Any = None,
    noise: float = 0.0,
    walls: float = 0.0,
    frames: int = 1,
    seed: int = 0,
) -> Channel:
    """`across` voxels a diameter; noise (s.d., m/s) smooth over two voxels; `walls` the s.d. of drawn radii, mm."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    spacing = 2 * radius / across
    axis = np.asarray(axis) / np.linalg.norm(axis)
    matrix = spacing * (np.eye(3) if turn is None else turn)
    extent = np.abs(np.linalg.inv(matrix) @ axis) * length + 2 * (radius / spacing + 3)
    shape = tuple(int(n) for n in np.ceil(extent))
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = -matrix @ ((np.array(shape) - 1) / 2)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) @ matrix.T + affine[:3, 3]
    along = places @ axis
    distance = np.linalg.norm(places - along[..., None] * axis, axis=-1)
    chance = np.clip(0.5 + (radius - distance) / (2 * spacing), 0, 1)
    radii = radius + walls * rng.standard_normal(SAMPLES)
    mask = distance < radii.max()
    inside = distance[mask] < radii[:, None]
    truth = peak * np.maximum(1 - (distance[mask] / radius) ** 2, -1)[:, None] * axis
    pulse = 1 + 0.3 * np.cos(2 * np.pi * np.arange(frames) / frames) if frames > 1 else np.ones(1)
    values = np.broadcast_to(pulse[:, None, None] * truth, (SAMPLES, frames, *truth.shape)).copy()
    if noise:
        raw = rng.standard_normal((SAMPLES, *shape, 3))
        smooth = gaussian_filter(raw, (0, 2, 2, 2, 0))
        values += noise / smooth.std() * smooth[:, mask][:, None]
    ends = 0.5 * length * np.linspace(-1, 1, 30)
    line = Centerline(ends[:, None] * axis, np.full(30, radius), np.arange(30) - 1)
    samples = FieldSamples(values, mask, affine, inside=inside if walls else None, unit="m/s")
    return Channel(samples, Image(chance.astype(np.float32), affine), line, radius, peak, axis)
