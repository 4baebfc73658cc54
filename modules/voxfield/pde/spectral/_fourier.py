"""A periodic axis by Fourier collocation.

Equispaced points, derivatives by multiplying mode k by (i k)^m (Trefethen, Spectral Methods in MATLAB, 2000, ch. 3).
The mode at the Nyquist frequency has no odd derivative on the grid and is set to zero there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft

from voxfield.pde.problem.operator import Array


@dataclass(frozen=True)
class Fourier:
    """`count` (even) equispaced points on [low, high), which repeats with period high - low."""

    low: float
    high: float
    count: int

    @cached_property
    def points(self) -> Array:
        """Nodes (count,), in the unit of the interval."""
        return np.asarray(self.low + (self.high - self.low) * np.arange(self.count) / self.count)

    def symbol(self, order: int) -> Array:
        """Factor (count,) of each mode under the derivative of that order, modes in the order of the FFT."""
        factors = (1j * self.wavenumbers) ** order
        if order % 2:
            factors[self.count // 2] = 0
        return factors

    @cached_property
    def wavenumbers(self) -> Array:
        """Radians a unit (count,), in the order of the FFT."""
        return np.asarray(2 * np.pi / (self.high - self.low) * fft.fftfreq(self.count, 1 / self.count))

    def matrix(self, order: int) -> Array:
        """Matrix (count, count) from values at the nodes to those of the derivative of that order."""
        return np.asarray(fft.ifft(self.symbol(order)[:, None] * fft.fft(np.eye(self.count), axis=0), axis=0).real)

    def spectrum(self, values: Array, axis: int) -> Array:
        """Largest absolute Fourier coefficient of each frequency (count / 2 + 1,), over all lines along `axis`."""
        coefficients = np.abs(np.moveaxis(fft.fft(values, axis=axis), axis, 0)).reshape(self.count, -1).max(axis=1)
        folded = np.maximum(coefficients, np.roll(coefficients[::-1], 1))  # k and -k are one frequency
        return np.asarray(folded[: self.count // 2 + 1] / self.count)

    def interpolation(self, at: Array) -> Array:
        """Matrix (len(at), count) from values at the nodes to those of the trigonometric interpolant at `at` (m,).

        The periodic sinc sin(n z / 2) / (n tan(z / 2)) of Trefethen 2000, eq. 3.7.
        """
        half = np.pi / (self.high - self.low) * (np.asarray(at, dtype=float)[:, None] - self.points)
        tangent = np.tan(half)
        hits = np.abs(tangent) < 1e-14
        return np.asarray(np.where(hits, 1.0, np.sin(self.count * half) / (self.count * np.where(hits, 1.0, tangent))))

    @cached_property
    def weights(self) -> Array:
        """Weights (count,) of the trapezoidal rule, which is spectrally accurate over a period."""
        return np.full(self.count, (self.high - self.low) / self.count)
