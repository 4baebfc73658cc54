"""Where there is signal, and how much: the weight of a voxel's phase.

With a magnitude image, signal is above Otsu's threshold (IEEE Trans. SMC 9, 1979) of the mean magnitude. Without one,
it is where the phase is smooth: its second differences, wrapped, are small (the reliability of Herraez et al., Applied
Optics 41, 2002), which holds in steep flow and across wraps too; in air they are uniform.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROUGH = 1.0
"""Mean size of the second differences over 3^3 voxels, radians, above which there is no signal; pi / 2 in air."""
BINS = 256


def magnitude_weights(magnitude: Floats) -> tuple[Floats, Mask]:
    """Weights (x, y, z) with mean 1 in signal, and the signal, of a magnitude (x, y, z, t)."""
    mean = magnitude.mean(axis=3)
    signal = mean > otsu(mean)
    return mean / mean[signal].mean(), signal


def smoothness_weights(phases: Floats) -> tuple[Floats, Mask]:
    """Weights (x, y, z) and signal of phases (c, x, y, z, t) alone."""
    rough = np.zeros(phases.shape[1:4])
    for axis in (1, 2, 3):
        second = 2 * phases - np.roll(phases, 1, axis) - np.roll(phases, -1, axis)
        rough += np.abs((second + np.pi) % (2 * np.pi) - np.pi).mean(axis=(0, 4)) / 3
    signal = uniform_filter(rough, 3) < ROUGH
    return np.ones(signal.shape), signal


def otsu(values: Floats) -> float:
    """The threshold that parts values into two classes with the largest variance between them."""
    count, edges = np.histogram(values, bins=BINS)
    middle = (edges[1:] + edges[:-1]) / 2
    below, moment = np.cumsum(count), np.cumsum(count * middle)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.square(moment[-1] * below / below[-1] - moment) / (below * above)
    return float(edges[1 + int(np.nanargmax(np.where(above > 0, between, np.nan)))])
