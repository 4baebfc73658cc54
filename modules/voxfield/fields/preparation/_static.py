"""Tissue at rest, and the noise of the velocity seen there.

Walker et al., "Semiautomated method for noise reduction and background phase error correction in MR phase velocity
data" (JMRI 3, 1993): static voxels are those whose velocity changes least over time. Their share is a setting there;
here the noise of a voxel is s / magnitude, s is the median of what the voxels with signal show, and static is what
noise alone explains -- as long as most of the signal is at rest, no share is needed. A single frame has no
change over time: there, the noise is that of the differences of neighbours, and static is what stays within it of a
plane that is fitted robustly, again and again to what was static.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, generate_binary_structure

from voxfield.fields._robust import MAD
from voxfield.fields.preparation._background import monomials, robust_fit, scaled

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FEWEST_FRAMES = 3
TOLERANCE = 3.0
"""Standard errors by which the standard deviation of a static voxel over time may exceed that of the noise; and
standard deviations by which a single frame may differ from its plane."""
ROUNDS = 10


def static_tissue(velocity: Floats, weights: Floats, signal: Mask) -> Mask:
    """Voxels (x, y, z) that are taken for tissue at rest.

    velocity  (x, y, z, t, 3) m/s, unwrapped
    weights   (x, y, z) relative magnitude
    """
    if velocity.shape[3] < FEWEST_FRAMES:
        return _near_plane(velocity[:, :, :, 0], weights, signal)
    spread = np.sqrt(velocity.var(axis=3, ddof=1).mean(axis=-1)) * weights
    most = 1 + TOLERANCE / np.sqrt(2 * 3 * (velocity.shape[3] - 1))
    quiet: Mask = signal & (spread <= most * np.median(spread[signal]))
    return quiet


def noise_sd(velocity: Floats, weights: Floats, static: Mask) -> Floats:
    """Standard deviation (3,) of the noise of a voxel and frame with mean weight, m/s; NaN where nothing shows it."""
    if not static.any():
        return np.full(3, np.nan)
    if velocity.shape[3] >= FEWEST_FRAMES:
        spread = velocity[static].std(axis=1, ddof=1) * weights[static, None]
        return np.asarray(np.sqrt(np.median(np.square(spread), axis=0)))
    inner = static & binary_erosion(static, generate_binary_structure(3, 1))
    if not inner.any():
        return np.full(3, np.nan)
    frame = velocity[:, :, :, 0]
    second = 2 * frame - np.roll(frame, 1, axis=0) - np.roll(frame, -1, axis=0)  # blind to offsets and slopes
    scaled = np.abs(second[inner]) * weights[inner, None] / np.sqrt(6)
    return np.asarray(MAD * np.median(scaled, axis=0))


def _near_plane(velocity: Floats, weights: Floats, signal: Mask) -> Mask:
    """Voxels of one frame (x, y, z, 3) whose components differ from a plane each by no more than noise."""
    voxels = np.argwhere(signal)
    x, y, z = signal.shape
    terms = monomials(scaled(voxels, (x, y, z)), 1)
    weight = weights[signal]
    allowed = TOLERANCE * noise_sd(velocity[:, :, :, None], weights, signal) / weight[:, None]
    kept: Mask = np.ones(len(voxels), dtype=bool)
    for _ in range(ROUNDS):
        fits = [robust_fit(terms[kept], values[kept], np.square(weight[kept]))[0] for values in velocity[signal].T]
        away = np.abs(velocity[signal] - terms @ np.stack(fits, axis=1))
        near: Mask = np.asarray(np.all(away <= np.maximum(allowed, 1e-9), axis=1))
        if near.sum() <= terms.shape[1] or (near == kept).all():
            break
        kept = near
    static = np.zeros_like(signal)
    static[signal] = kept
    return static
