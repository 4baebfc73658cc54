"""Envelopes of the spectral mixture, and their Mercer functions on an interval.

An envelope is a stationary kernel g(d), g(0) = 1, that tells how far along the axis the amplitude and the phase of an
oscillation keep their memory. On an interval it is represented in Legendre polynomials,

    (1 + growth t t') g(|t - t'|)  =  sum_ij  E_ij p_i(t) p_j(t'),      t, t' in [-1, 1],   E = F F',

so that the columns of p F are functions of unit prior variance. The growth term, a linear function times the kernel,
is for amplitudes that grow along the axis, as in x sin 200x.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


def student(distance: Floats) -> Floats:
    """Matern kernel of smoothness 5/2, whose spectral density is a Student t density; distance in lengths."""
    scaled = np.sqrt(5.0) * np.abs(distance)
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))


def gaussian(distance: Floats) -> Floats:
    """Squared exponential kernel; distance in lengths."""
    return np.asarray(np.exp(-(distance**2) / 2))


ENVELOPES: dict[str, Callable[[Floats], Floats]] = {"student": student, "gaussian": gaussian}


def polynomials(t: Floats, degree: int, order: int = 0) -> Floats:
    """Derivatives (n, degree + 1) in t of the Legendre polynomials of mean square 1 on [-1, 1]."""
    return _table(np.ascontiguousarray(t, dtype=np.float64).tobytes(), degree, order)


@lru_cache(maxsize=64)
def _table(points: bytes, degree: int, order: int) -> Floats:
    """The same, kept: a search asks for a few tables on the same nodes hundreds of times."""
    coefficients = np.diag(np.sqrt(2 * np.arange(degree + 1) + 1.0))
    if order:
        coefficients = legendre.legder(coefficients, order)
    table = np.asarray(
        legendre.legvander(np.frombuffer(points), len(coefficients) - 1) @ coefficients, dtype=np.float64
    )
    table.setflags(write=False)
    return table


@lru_cache(maxsize=256)
def factor(envelope: str, length: float, degree: int, *, growth: float = 0.0, line: float = 0.0) -> Floats:
    """F (degree + 1, degree + 1) of an envelope; `length` in half lengths of the interval.

    growth  variance of the linear amplitude
    line    variance of a straight line that is added, with kernel 1 + t t'
    """
    nodes, weights = legendre.leggauss(_NODES + degree)
    projection = polynomials(nodes, degree) * (weights / 2)[:, None]
    kernel = ENVELOPES[envelope]((nodes[:, None] - nodes) / length) * (1 + growth * np.outer(nodes, nodes))
    kernel = kernel + line * (1 + np.outer(nodes, nodes))
    values, vectors = np.linalg.eigh(projection.T @ kernel @ projection)
    # In descending order; what rounding leaves of the smallest eigenvalues must not turn their sign.
    return np.asarray(vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0)), dtype=np.float64)


_NODES = 48  # beyond the degree: resolves the kink of the Matern kernel at length 1/10 of the interval to 1e-6
