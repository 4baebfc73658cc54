"""Equations that are not linear: Newton's method around the posterior mean of the linear ones.

The linearisation at u has coefficients that vary. Their means make an operator of constant coefficients, for which the
posterior mean S is exact and cheap; what is left is a fixed point

    z  =  S( f - N(u(z)) ),      N = left side minus the operator of constant coefficients,

which Newton solves with GMRES. S smooths, so that a few inner iterations do.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from voxfield.pde.gp_hm._product import along

if TYPE_CHECKING:
    from voxfield.pde.gp_hm._envelope import Floats
    from voxfield.pde.gp_hm._evidence import Regression
    from voxfield.pde.gp_hm._product import GridData, Product, Terms
    from voxfield.pde.problem.operator import Derivative, Operator, Order

    Slopes: TypeAlias = "tuple[tuple[Any, Order], ...]"


def frozen(operator: Operator, derivative: Derivative) -> Terms:
    """The linearisation at u with every coefficient replaced by its mean over the grid."""
    means: dict[tuple[int, ...], float] = {}
    for coefficient, order in operator.linearise(derivative):
        means[order] = means.get(order, 0.0) + float(np.real(np.asarray(coefficient)).mean())
    return tuple((mean, order) for order, mean in means.items() if mean)


def remainder(operator: Operator, terms: Terms, derivative: Derivative) -> Floats:
    """The left side at u less the linear operator `terms` at u."""
    linear = sum(coefficient * derivative(order) for coefficient, order in terms)
    return np.asarray(operator.apply(derivative) - linear)


def converged(
    operator: Operator, forcing: Floats, data: GridData, product: Product, found: Regression
) -> tuple[Floats, int, float]:
    """Coefficients (columns,) of the mean of the equation itself, the number of Newton steps, the last relative gap.

    data   with the operator of constant coefficients, and a forcing of an earlier u
    found  weights and noise on those data
    """
    fresh = replace(found, rows=data.rows(product))
    gain, count = fresh.gain, len(fresh.rows.known)
    still = gain[:, :count] @ fresh.rows.known_values[:, 0]
    bases = [basis.T for basis in data.bases(product)]

    @cache
    def designs(order: Order) -> list[Floats]:
        return product.designs(data.axes, order)

    def mean(values: Floats) -> Floats:
        return np.asarray(gain[:, count:] @ along(bases, values).ravel())

    def derivatives(z: Floats) -> Derivative:
        tensor = product.tensor(z)
        return lambda order: along(designs(order), tensor)

    z, last = found.mean[:, 0], np.inf
    for step in range(_STEPS):
        at = derivatives(z)
        gap = still + mean(forcing - remainder(operator, data.terms, at)) - z
        size = float(np.linalg.norm(gap) / np.linalg.norm(z))
        if size <= _CLOSE or not size < _GAIN * last:
            return z, step, size
        slopes = operator.linearise(at)

        def change(v: Floats, slopes: Slopes = slopes) -> Floats:
            along_v = derivatives(v)
            moved = sum(c * along_v(order) for c, order in slopes) - sum(c * along_v(order) for c, order in data.terms)
            return v + mean(np.asarray(moved))

        last = size
        z = z + gmres(LinearOperator((len(z), len(z)), matvec=change), gap, rtol=_INNER, restart=40, maxiter=3)[0]
    return z, _STEPS, last


_STEPS = 12
_CLOSE = 1e-12
_GAIN = 0.5  # a step that gains less has met round-off, or diverges
_INNER = 1e-6
