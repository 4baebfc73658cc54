"""Darcy flow on the unit square by finite volumes, fast enough for a Markov chain, and its adjoint.

    -div(a grad u) = f,   u = 0 on the boundary

on n x n square cells with the harmonic mean of a on their faces: exact for layers that follow the faces (Patankar,
1980, section 4.2). The matrix is symmetric, definite and of band width n, so that one banded Cholesky factorisation
(LAPACK pbtrf) gives u, and gives the gradient of any function of u with respect to a (the adjoint equation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded

Floats = NDArray[np.float64]


class DarcyFlow(NamedTuple):
    """Pressure (n, n), and the banded Cholesky factor of its matrix."""

    pressure: Floats
    factor: Floats


def centres(count: int) -> Floats:
    """Coordinates (count,) of the cells of [0, 1]."""
    return (np.arange(count) + 0.5) / count


def solve_darcy(permeability: Floats, forcing: float) -> DarcyFlow:
    """Pressure of a permeability (n, n), positive, first axis x, second y."""
    a, n = permeability, len(permeability)
    along_x, along_y = _conductance(a[:-1], a[1:]), _conductance(a[:, :-1], a[:, 1:])
    bands = np.zeros((n + 1, n, n))  # lower form: diagonal, then what lies 1 and n below it
    diagonal = bands[0]
    diagonal[:-1] += along_x
    diagonal[1:] += along_x
    diagonal[:, :-1] += along_y
    diagonal[:, 1:] += along_y
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        diagonal[edge] += 2 * a[edge]  # the boundary is half a cell away
    bands[1, :, :-1] = -along_y
    bands[n, :-1] = -along_x
    factor = cholesky_banded(bands.reshape(n + 1, -1), overwrite_ab=True, lower=True, check_finite=False)
    flow = DarcyFlow(np.empty(0), factor)
    return flow._replace(pressure=_back(flow, np.full((n, n), forcing / n**2)))


def permeability_gradient(permeability: Floats, flow: DarcyFlow, slope: Floats) -> Floats:
    """Gradient (n, n) with respect to the permeability of a function of the pressure, from its `slope` in it (n, n)."""
    a, u = permeability, flow.pressure
    adjoint = _back(flow, slope)
    found = np.zeros_like(a)
    for low, high in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        product = (u[high] - u[low]) * (adjoint[high] - adjoint[low])
        found[low] -= product * _conductance_slope(a[low], a[high])
        found[high] -= product * _conductance_slope(a[high], a[low])
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        found[edge] -= 2 * u[edge] * adjoint[edge]
    return found


def sampling_matrix(points: Floats, count: int) -> sparse.csr_array:
    """(m, count^2): bilinear values at points (m, 2) of [0, 1]^2 from the cells; zero on the boundary."""
    knots = np.concatenate([[0.0], centres(count), [1.0]])
    left = np.clip(np.searchsorted(knots, points, side="right") - 1, 0, count)
    share = (points - knots[left]) / (knots[left + 1] - knots[left])
    rows, columns, weights = [], [], []
    for corner in np.ndindex(2, 2):
        cell = left + corner - 1  # the first knot is the boundary
        weight = np.where(corner, share, 1 - share).prod(axis=1)
        inside = ((cell >= 0) & (cell < count)).all(axis=1)
        rows.append(np.flatnonzero(inside))
        columns.append(cell[inside] @ [count, 1])
        weights.append(weight[inside])
    places = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_array((np.concatenate(weights), places), shape=(len(points), count**2))


@dataclass(frozen=True)
class Observations:
    """Values (m,) of the pressure at points (m, 2) of the unit square, with the standard deviation (m,) of each."""

    points: Floats
    values: Floats
    sd: Floats

    def log_likelihood(self, predicted: Floats) -> Floats:
        """Gaussian, up to a constant, of predictions (..., m)."""
        return np.asarray(-0.5 * (((predicted - self.values) / self.sd) ** 2).sum(axis=-1))


def _back(flow: DarcyFlow, right: Floats) -> Floats:
    found = cho_solve_banded((flow.factor, True), right.ravel(), check_finite=False)
    return np.asarray(found.reshape(right.shape))


def _conductance(a: Floats, b: Floats) -> Floats:
    return 2 * a * b / (a + b)


def _conductance_slope(a: Floats, b: Floats) -> Floats:
    """Derivative of the conductance with respect to a."""
    return 2 * (b / (a + b)) ** 2
