"""A posterior by finite volumes, by a trained operator, or by that one and then corrected to finite volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxfield.pde.inverse._darcy import Floats, Observations, sampling_matrix, solve_darcy
from voxfield.pde.inverse._dgno import Darcy, DeepGenerativeOperator
from voxfield.pde.inverse._latent import LatentPrior, encoding_of, latent_prior, learned_likelihood
from voxfield.pde.inverse._level_set import LevelSetPrior
from voxfield.pde.inverse._posterior import Posterior, finite_volume_likelihood, posterior
from voxfield.pde.inverse._sampler import Effort, LogLikelihood, Population, anneal, prior_population
from voxfield.pde.inverse._train import level_set_prior

Method = Literal["finite_volume", "learned", "corrected"]
PriorName = Literal["level_set", "latent"]
CALIBRATION = 200  # permeabilities that a trained operator's error is measured on
ENCODED = 2000  # permeabilities that the prior of latent vectors is fitted to


@dataclass(frozen=True)
class Inference:
    """How the posterior is found.

    darcy        equation and prior of the permeability
    method       whose pressures the likelihood takes
    network      the trained operator; None for finite volumes alone
    prior        of what is inferred: the level's coefficients, or the operator's latent vector
    """

    darcy: Darcy
    method: Method = "finite_volume"
    network: DeepGenerativeOperator | None = None
    prior: PriorName = "level_set"

    def run(
        self, observations: Observations, effort: Effort, populations: int, rng: np.random.Generator
    ) -> tuple[Posterior, list[Population]]:
        """The draws of independent populations."""
        prior = self._prior(rng)
        exact = finite_volume_likelihood(prior, observations, self.darcy.forcing)
        learned = None if self.method == "finite_volume" else self._learned(prior, observations, rng)
        found = [self._population(prior.size, exact, learned, effort, rng) for _ in range(populations)]
        return posterior(prior, found, self.darcy.forcing), found

    def _population(
        self, size: int, exact: LogLikelihood, learned: LogLikelihood | None, effort: Effort, rng: np.random.Generator
    ) -> Population:
        population = prior_population(effort.draws, size, rng)
        if learned is None:
            return anneal(population, exact, effort, rng)
        population = anneal(population, learned, effort, rng)
        return population if self.method == "learned" else anneal(population, exact, effort, rng, learned)

    def _prior(self, rng: np.random.Generator) -> LevelSetPrior | LatentPrior:
        level_set = level_set_prior(self.darcy)
        if self.prior == "level_set" or self.network is None:
            return level_set
        return latent_prior(self.network, level_set.field(rng.standard_normal((ENCODED, level_set.size))))

    def _learned(
        self, prior: LevelSetPrior | LatentPrior, observations: Observations, rng: np.random.Generator
    ) -> LogLikelihood:
        if self.network is None:
            raise ValueError(f"the method {self.method!r} needs a network")
        coefficients = rng.standard_normal((CALIBRATION, prior.size))
        sampling = sampling_matrix(observations.points, prior.cells)
        solutions: list[Floats] = [solve_darcy(a, self.darcy.forcing).pressure for a in prior.field(coefficients)]
        pairs = coefficients, np.stack([sampling @ u.ravel() for u in solutions])
        return learned_likelihood(self.network, encoding_of(self.network, prior), observations, pairs)
