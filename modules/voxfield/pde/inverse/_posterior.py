"""Likelihoods of a permeability's coefficients, and what independent populations say of the posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from voxfield.pde.inverse._darcy import Floats, Observations, sampling_matrix, solve_darcy
from voxfield.pde.inverse._sampler import LogLikelihood, Population


class Prior(Protocol):
    """Permeabilities from independent standard normal coefficients."""

    @property
    def size(self) -> int:
        """Number of coefficients."""
        ...

    @property
    def cells(self) -> int:
        """Along an axis."""
        ...

    def field(self, coefficients: Floats) -> Floats:
        """(..., size) -> (..., n, n)."""
        ...


@dataclass(frozen=True)
class Posterior:
    """Draws of the permeability and of the pressure (s, n, n), of all populations, one after the other.

    disagreement  of the populations' mean permeabilities: root mean square over the cells of the spread between them,
                  relative to that within; sampling alone makes it about sqrt(1 / independent draws of a population)
    """

    permeability: Floats
    pressure: Floats
    disagreement: float


def finite_volume_likelihood(prior: Prior, observations: Observations, forcing: float) -> LogLikelihood:
    """Of coefficients (n, size), by one solve each."""
    sampling = sampling_matrix(observations.points, prior.cells)

    def log_likelihood(coefficients: Floats) -> Floats:
        pressures = (solve_darcy(a, forcing).pressure for a in prior.field(coefficients))
        return observations.log_likelihood(np.stack([sampling @ pressure.ravel() for pressure in pressures]))

    return log_likelihood


def posterior(prior: Prior, populations: Sequence[Population], forcing: float) -> Posterior:
    """The fields of all draws; their pressures are by finite volumes."""
    fields = np.stack([prior.field(population.draws) for population in populations])
    flat = fields.reshape(-1, *fields.shape[2:])
    pressure = np.stack([solve_darcy(a, forcing).pressure for a in flat])
    within = fields.var(axis=1, ddof=1).mean()
    between = fields.mean(axis=1).var(axis=0, ddof=1).mean() if len(fields) > 1 else np.nan
    return Posterior(flat, pressure, float(np.sqrt(between / within)) if within else 0.0)
