"""The kernel along one axis: a trend and a band around each frequency, as functions closed under differentiation.

    k(x, x') = w_0 (g_0(|x - x'|) + 1 + t t') + sum_q w_q (1 + growth t t') g(|x - x'|) cos m_q (x - x')

is the spectral mixture of GP-HM (Fang et al., ICLR 2024, eq. 8 and 9) with a trend of its own length
and a straight line, which no curvature in the forcing speaks for or against (t is x on [-1, 1]). In the Mercer
functions of its envelopes every band is {p F cos m x, p F sin m x}. Polynomials times a fixed exponential are closed
under differentiation, d/dx (p e^{imx}) = (p' + i m p) e^{imx}: every operator of constant coefficients acts on
this basis without error, where K'' K^-1 on a grid loses half of the digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import block_diag

from voxfield.pde.gp_hm._envelope import factor, polynomials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde.gp_hm._envelope import Floats


@dataclass(frozen=True)
class AxisKernel:
    """The kernel along one axis, up to the weights of its components.

    low, high      ends of the axis
    envelope       "student" (Matern 5/2) or "gaussian" (squared exponential)
    frequencies    angular frequencies of the bands, radians a unit of x
    trend_length   length of the trend's envelope over that of the axis
    band_length    length of the bands' envelope over that of the axis
    growth         variance of the linear amplitude over that of the constant one
    trend_degree, band_degree   of the polynomials
    """

    low: float
    high: float
    envelope: str = "student"
    frequencies: tuple[float, ...] = ()
    trend_length: float = 0.3
    band_length: float = 1.0
    growth: float = 0.0
    trend_degree: int = 24
    band_degree: int = 11

    @cached_property
    def blocks(self) -> NDArray[np.intp]:
        """Component of each column: 0 the trend, q the q-th band."""
        sizes = [self.trend_degree + 1, *[2 * (self.band_degree + 1)] * len(self.frequencies)]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def whitening(self) -> Floats:
        """Maps the columns of `raw` to those of unit prior variance."""
        trend = factor(self.envelope, 2 * self.trend_length, self.trend_degree, line=1.0)
        band = factor(self.envelope, 2 * self.band_length, self.band_degree, growth=self.growth)
        return np.asarray(block_diag(trend, *[band] * (2 * len(self.frequencies))))

    def raw(self, points: Floats, order: int = 0) -> Floats:
        """Derivatives (n, columns) of polynomials, times cosine and sine in every band."""
        half = (self.high - self.low) / 2
        centred = points - (self.high + self.low) / 2
        trend = polynomials(centred / half, self.trend_degree, order) / half**order
        if not self.frequencies:
            return trend
        slopes = [polynomials(centred / half, self.band_degree, k) / half**k for k in range(order + 1)]
        parts = [trend]
        for frequency in self.frequencies:
            wave = np.exp(1j * frequency * centred)[:, None]
            terms = [comb(order, k) * (1j * frequency) ** (order - k) * slope for k, slope in enumerate(slopes)]
            band = np.sum(terms, axis=0) * wave
            parts += [band.real, band.imag]
        return np.hstack(parts)

    def design(self, points: Floats, order: int = 0) -> Floats:
        """Derivatives (n, columns) of the functions of unit prior variance."""
        return self.raw(points, order) @ self.whitening
