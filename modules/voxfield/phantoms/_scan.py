"""What a scanner shows of a lumen: an angiogram, velocities by four-point phase contrast, and a sparse annotation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Real = NDArray[np.float64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Angiography:
    """How an angiogram looks; intensities in units of the contrast between blood and tissue.

    noise  standard deviation of each channel; the magnitude is Rician (Gudbjartsson & Patz, MRM 34, 1995)
    bias   largest relative change of brightness over the field of view
    blur   standard deviation of the point spread, voxels
    """

    noise: float = 0.08
    bias: float = 0.3
    blur: float = 0.5
    texture: float = 0.05
    tissue: float = 0.35


def render_angiogram(fraction: Real, how: Angiography, rng: np.random.Generator) -> Float32:
    """Angiogram (nx, ny, nz) in arbitrary units (contrast 100) from the lumen's share of every voxel."""
    shape = fraction.shape
    signal = how.tissue + ndimage.gaussian_filter(fraction, how.blur)
    signal += how.texture * _smooth_noise(shape, rng, 4.0)
    field = _smooth_noise(shape, rng, 0.35 * max(shape))
    signal *= 1 + how.bias * field / max(float(np.abs(field).max()), 1e-12)
    channels = how.noise * rng.standard_normal((2, *shape), dtype=np.float32)
    return np.asarray(100 * np.hypot(signal + channels[0], channels[1]), dtype=np.float32)


def _smooth_noise(shape: tuple[int, ...], rng: np.random.Generator, length: float) -> Real:
    """Smooth random field of unit sd, correlated over `length` voxels; drawn coarse, then interpolated."""
    step = max(1.0, length / 2)
    small = rng.standard_normal([int(np.ceil(n / step)) + 3 for n in shape])
    small = ndimage.gaussian_filter(small, 1.0, mode="nearest")
    grids = np.meshgrid(*(1 + np.arange(n) / step for n in shape), indexing="ij", sparse=True)
    for axis, grid in enumerate(grids):
        place = grid.ravel()
        low = place.astype(np.int64)
        weight = np.expand_dims(place - low, tuple(a for a in range(len(shape)) if a != axis)).astype(np.float64)
        small = np.take(small, low, axis=axis) * (1 - weight) + np.take(small, low + 1, axis=axis) * weight
    spread = float(small.std())
    return small / spread if spread > 0 else small


def measure_velocity(
    velocity: Real, fraction: Real, *, venc: float, snr: float, background: float, rng: np.random.Generator
) -> Float32:
    """Velocities by four-point encoding, (nx, ny, nz, 3) in the unit of `venc`.

    velocity    (nx, ny, nz, 3)  mean over the voxel: the observation is a cell average
    fraction    (nx, ny, nz)     blood in the voxel
    snr         signal of a voxel full of blood over the standard deviation of one channel
    background  signal of a voxel without blood, relative to one full of it

    One reference and three encoded images, each with complex Gaussian noise; a component is venc / pi times the
    phase difference to the reference (Pelc et al., JMRI 1, 1991). At good signal this gives sd = sqrt(2) / pi
    venc / SNR for every component and a correlation of 1/2 between components, since they share the reference;
    where there is no signal phases are uniform; speeds above venc wrap.
    """
    signal = np.maximum(fraction, background)[..., None]
    phase = np.concatenate([np.zeros((*fraction.shape, 1)), np.pi / venc * velocity], axis=-1)
    noise = rng.standard_normal((2, *phase.shape)) / snr
    images = signal * np.exp(1j * phase) + noise[0] + 1j * noise[1]
    difference = np.angle(images[..., 1:] * np.conj(images[..., :1]))
    return np.asarray(venc / np.pi * difference, dtype=np.float32)


def annotate_sparsely(lumen: NDArray[np.uint8], every: int, unannotated: int = 255) -> NDArray[np.uint8]:
    """Labels on every k-th slice of the last axis, `unannotated` on all others."""
    sparse = np.full(lumen.shape, unannotated, dtype=np.uint8)
    sparse[:, :, every // 2 :: every] = lumen[:, :, every // 2 :: every]
    return sparse
