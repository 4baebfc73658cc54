"""Frames of one cardiac cycle: a covariance in time that is periodic, and the modes in which it falls apart.

The velocity has the covariance C(t - t') K(x, x'), the noise is as large in every frame and independent between them.
Evenly spaced frames over one cycle make C circulant, so that a real Fourier basis over the frames diagonalises it: mode
j of the data is a measurement of its own with the prior covariance share_j K and the noise of a frame (the Kronecker
trick, e.g. Saatci 2011, ch. 5, by Fourier). C is the periodic kernel of MacKay (1998),

    C(t) = exp(-2 sin^2(pi t) / length^2),  t in cycles,

whose eigenvalues, divided by their mean, are the shares. As length goes to 0 all shares are 1: frames one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxfield.fields._prior import Int, Real


@dataclass(frozen=True)
class Modes:
    """Orthonormal modes of the frames.

    basis   (t, t) one mode a column; None where the frames are their own modes
    shares  (t,) of the prior's variance, mean 1
    """

    basis: Real | None
    shares: Real

    def of(self, frames: Real) -> Real:
        """Modes of values (..., t)."""
        return frames if self.basis is None else frames @ self.basis

    def frames(self, modes: Real) -> Real:
        """Frames of values (t, ...) by mode."""
        return modes if self.basis is None else np.tensordot(self.basis, modes, axes=1).astype(modes.dtype)

    def frame_variance(self, variance: Real) -> Real:
        """Variances of the frames out of those of independent modes, (t, ...)."""
        return variance if self.basis is None else np.tensordot(np.square(self.basis), variance, axes=1)

    def groups(self) -> Iterator[tuple[float, Int]]:
        """Shares, and the modes that have them."""
        for share in np.unique(self.shares):
            yield float(share), np.flatnonzero(self.shares == share)


def one_by_one(frames: int) -> Modes:
    """Frames that know nothing of each other."""
    return Modes(None, np.ones(frames))


def periodic(frames: int, length: float) -> Modes:
    """Modes of evenly spaced frames over one cycle, with a correlation of that length (see the module)."""
    phase = np.arange(frames) / frames
    spectrum = np.fft.rfft(np.exp(-2 * np.square(np.sin(np.pi * phase) / length))).real
    spectrum = np.maximum(spectrum, LEAST_SHARE * spectrum.max())
    order = np.arange(frames)
    wave = (order + 1) // 2  # 0, 1, 1, 2, 2, ...: cosine and sine of a frequency have one share
    angle = 2 * np.pi * np.outer(phase, wave)
    basis = np.where(order % 2 == 1, np.cos(angle), np.sin(angle))
    basis[:, 0] = 1.0
    return Modes(basis / np.linalg.norm(basis, axis=0), spectrum[wave] / spectrum[wave].mean())


LEAST_SHARE = 1e-6
"""Of a mode, over the largest: less is rounding."""
