"""Draws from a posterior under a standard normal prior: a population annealed from the prior to the likelihood.

Tempered sequential Monte Carlo (Del Moral, Doucet and Jasra, JRSS B 68, 2006; for inverse problems Beskos, Jasra,
Muzaffer and Stuart, Statistics and Computing 25, 2015, arXiv 1302.7205). The target is prior * L0^(1-t) * L1^t, and t
grows from 0 to 1 by steps that leave half of the effective draws; after each, draws are chosen anew by their weights
and moved by preconditioned Crank-Nicolson: from x, propose y = sqrt(1 - s^2) x + s xi with xi ~ N(0, I), which leaves
the prior as it is, so that the likelihood alone decides (Cotter, Roberts, Stuart and White, Statistical Science 28,
2013, arXiv 1202.0709). Posteriors of piecewise constant fields have many modes, which such a population holds and a
single chain does not leave. Started from a posterior of an approximate likelihood L0, it corrects that one to L1.

The step of a coordinate is in proportion to its spread in the population (different from the papers: theirs is one
number, or a covariance), times a factor that is adapted to accept a quarter of the proposals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

from voxfield.pde.inverse._darcy import Floats

LogLikelihood = Callable[[Floats], Floats]  # (n, d) -> (n,)

ACCEPTED = 0.25
KEPT = 0.5  # effective share of the draws that a step of t leaves
FIRST_STEP = 0.5


@dataclass(frozen=True)
class Effort:
    """Draws of a population, moves of each at every t, and how many times as many at the last."""

    draws: int = 150
    moves: int = 10
    last: int = 4


@dataclass(frozen=True)
class Population:
    """Draws of equal weight, and how they came to be.

    draws           (n, d)
    log_likelihood  (n,) of the last target
    log_evidence    logarithm of the prior's mean of that likelihood, estimated
    temperatures    values of t that it took, all targets together
    acceptance      share of the last target's last proposals that were accepted
    ancestors       (n,) the draw of the prior that each descends from
    evaluations     calls of the last target's likelihood, one a draw
    """

    draws: Floats
    log_likelihood: Floats
    log_evidence: float
    temperatures: int
    acceptance: float
    ancestors: NDArray[np.int64]
    evaluations: int


def prior_population(draws: int, size: int, rng: np.random.Generator) -> Population:
    """Draws of the prior, from which `anneal` starts."""
    return Population(rng.standard_normal((draws, size)), np.zeros(draws), 0.0, 0, 1.0, np.arange(draws), 0)


def anneal(
    population: Population,
    target: LogLikelihood,
    effort: Effort,
    rng: np.random.Generator,
    source: LogLikelihood | None = None,
) -> Population:
    """Carry draws of prior * `source` (the prior alone without it) over to prior * `target`."""
    now = _Draws(population.draws, population.log_likelihood, target(population.draws), population.ancestors)
    t, temperatures, evaluations, factor = 0.0, population.temperatures, len(now.draws), FIRST_STEP
    log_evidence = population.log_evidence
    while t < 1:
        step = _next_temperature(now.after - now.before, t) - t
        weights = step * (now.after - now.before)
        log_evidence += float(logsumexp(weights) - np.log(len(weights)))
        now = now.take(_systematic(np.exp(weights - logsumexp(weights)), rng))
        t, temperatures = t + step, temperatures + 1
        spread = np.minimum(now.draws.std(axis=0), 1.0)
        moves = effort.moves * (effort.last if t == 1 else 1)
        for _ in range(moves):
            accepted = now.move(np.minimum(factor * spread, 1.0), t, source, target, rng)
            factor *= float(np.exp(accepted - ACCEPTED))
        evaluations += moves * len(weights)
    return Population(now.draws, now.after, log_evidence, temperatures, accepted, now.ancestors, evaluations)


@dataclass
class _Draws:
    """Draws (n, d) on their way; their log likelihoods before and after it (n,)."""

    draws: Floats
    before: Floats
    after: Floats
    ancestors: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> _Draws:
        return _Draws(self.draws[chosen], self.before[chosen], self.after[chosen], self.ancestors[chosen])

    def move(
        self, step: Floats, t: float, source: LogLikelihood | None, target: LogLikelihood, rng: np.random.Generator
    ) -> float:
        """One proposal each; the share that was accepted."""
        proposal = np.sqrt(1 - step**2) * self.draws + step * rng.standard_normal(self.draws.shape)
        before, after = np.zeros(len(proposal)) if source is None else source(proposal), target(proposal)
        gain = (1 - t) * (before - self.before) + t * (after - self.after)
        moves = np.log(rng.random(len(proposal))) < gain
        self.draws[moves], self.before[moves], self.after[moves] = proposal[moves], before[moves], after[moves]
        return float(moves.mean())


def _next_temperature(gain: Floats, t: float) -> float:
    """The t up to 1 at which weights exp((t - now) gain) leave the effective share KEPT."""

    def surplus(tried: float) -> float:
        weights = (tried - t) * gain
        return float(np.exp(2 * logsumexp(weights) - logsumexp(2 * weights))) - KEPT * len(gain)

    return 1.0 if surplus(1.0) >= 0 else float(brentq(surplus, t, 1.0))


def _systematic(weights: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices (n,) with expected counts n * weights, by one random offset."""
    count = len(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights), (rng.random() + np.arange(count)) / count), count - 1)
