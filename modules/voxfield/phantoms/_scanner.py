"""What a CT scanner does to a volume of HU: it blurs and adds noise, slice by slice along axis 0.

Blur is a Gaussian point spread. Noise has the power spectrum of filtered backprojection, NPS(f) = |f| MTF(f)^2
within the slice (Riederer, Pelc and Chesler, Phys. Med. Biol. 23, 1978; Kijewski and Judy, Phys. Med. Biol. 32,
1987): the ramp filter leaves |f|, and the kernel that blurs the image also rolls the noise off. Across slices
it has the slice profile. Different from a scanner: the noise has one variance everywhere and no streaks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Float32 = NDArray[np.float32]
Real = NDArray[np.floating]

FWHM = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian in standard deviations."""


def mean_over_voxels(volume: Float32) -> None:
    """Replace every voxel by the mean over it of the trilinear interpolant, in place.

    In one dimension that is (1, 6, 1) / 8: what a voxel holds of an object that is known at voxel centres.
    """
    for axis in range(3):
        ndimage.correlate1d(volume, [0.125, 0.75, 0.125], axis, output=volume, mode="nearest")


def blur(volume: Float32, spacing: Real, in_plane_mm: float, across_mm: float) -> None:
    """Convolve with a Gaussian of the given full widths at half maximum, in place.

    volume   (k, a, b)
    spacing  (3,) mm
    """
    for axis, width in enumerate((across_mm, in_plane_mm, in_plane_mm)):
        sd = width / FWHM / spacing[axis]
        ndimage.gaussian_filter1d(volume, sd, axis, output=volume, mode="nearest", truncate=3)


def add_noise(
    volume: Float32, spacing: Real, in_plane_mm: float, across_mm: float, sd: float, rng: np.random.Generator
) -> None:
    """Add noise of standard deviation `sd` with the spectrum above, in place; widths as in `blur`."""
    across = across_mm / FWHM / spacing[0]
    offsets = np.arange(-np.ceil(3 * across), np.ceil(3 * across) + 1)
    weights = np.exp(-0.5 * (offsets / across) ** 2)
    weights = (sd * weights / np.linalg.norm(weights)).astype(np.float32)
    slices = _ramp_noise(volume.shape[1:], spacing[1:], in_plane_mm, rng)
    window = deque((next(slices) for _ in weights[:-1]), maxlen=len(weights))
    for k in range(len(volume)):
        window.append(next(slices))
        for weight, noise in zip(weights, window, strict=True):
            volume[k] += weight * noise


def _ramp_noise(
    shape: tuple[int, ...], spacing: Real, in_plane_mm: float, rng: np.random.Generator
) -> Iterator[Float32]:
    """Independent slices (a, b) of unit variance with the power spectrum |f| MTF(f)^2."""
    padded = [fft.next_fast_len(n, real=True) for n in shape]
    across, along = (fft.fftfreq(n, step) for n, step in zip(padded, spacing, strict=True))
    frequency = np.hypot(across[:, None], along[None, :])
    gain = np.sqrt(frequency) * np.exp(-2 * (np.pi * in_plane_mm / FWHM * frequency) ** 2)
    gain /= np.sqrt(np.mean(gain**2))
    half = gain[:, : padded[1] // 2 + 1].astype(np.float32)
    while True:
        white = rng.standard_normal(padded, dtype=np.float32)
        yield fft.irfft2(fft.rfft2(white) * half, s=padded)[: shape[0], : shape[1]]
