"""The most probable displacement, draws around it, and the weights of data and prior.

Prior and noise are Gaussian: minus the log posterior is |fixed - moving(x + u)|^2 / (2 s^2) + t U(u), U the strain
energy of `_elastic`. Its minimum is found by Gauss-Newton steps, solved by conjugate gradients, from coarse to fine.
The Hessian there is H = G^T G / s^2 + t K; a draw of the Laplace approximation is the solution of H d = G^T e / s +
t^(1/2) K^(1/2) e' with standard normal e, e' (Papandreou and Yuille, NIPS 2010). From draws follow the expected
energies, and from them the evidence's fixed point for both weights (MacKay, "Bayesian interpolation", Neural
Computation 4, 1992, equations 4.8 and 4.9): with g = rank K - t E[d^T K d] well determined parameters,
t = g / (u^T K u), s^2 = |residual|^2 / (voxels - g).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.registration._elastic import Elastic
from voxfield.fields.registration._levels import Level, make_level
from voxfield.fields.registration._nodes import Nodes

Floats = NDArray[np.float64]

STEPS = 12
HALVINGS = 6
SETTLED = 1e-4
"""Share of the energy that a step has to gain for another one to follow."""
ROUNDS = 5
STEADY = 0.1
"""Relative change of the stiffness below which it is settled."""
PROBES = 4
"""Draws for the evidence."""
EXPECTED_STRAIN = 0.1
"""Strain that the first guess of the stiffness expects."""
STIFFEST = 1e4
"""Largest factor between the stiffness and its first guess."""
ITERATIONS, RESIDUAL = 150, 1e-3
LEAST_NOISE = 1e-3
"""Least noise, in standard deviations of the fixed image: interpolation is no better."""


@dataclass(frozen=True)
class Wishes:
    """What is asked for.

    poisson    ratio
    every      voxels between nodes
    levels     resolutions
    stiffness  weight t of the strain energy, 1/mm^3, or None for that of largest evidence
    draws      number of posterior draws
    """

    poisson: float
    every: int
    levels: int
    stiffness: float | None
    draws: int


@dataclass
class Fit:
    """The state of one level; displacements (x, y, z, 3) mm at the nodes.

    stiffness   t, 1/mm^3
    noise       s, unit of the images
    determined  g, parameters that the data determine
    """

    level: Level
    nodes: Nodes
    elastic: Elastic
    displacement: Floats
    stiffness: float
    noise: float
    determined: float = 0.0
    converged: bool = True
    draws: list[Floats] = field(default_factory=list)

    def cost(self, displacement: Floats) -> float:
        """Minus the log posterior, up to a constant."""
        residual, _ = self.level.residual(self.nodes.to_voxels(displacement))
        misfit = float(np.square(residual).sum()) / (2 * self.noise**2)
        return misfit + self.stiffness * self.elastic.energy(displacement)


def fit_displacement(fixed: Floats, moving: Floats, spacing: Floats, wishes: Wishes, rng: np.random.Generator) -> Fit:
    """Register images (x, y, z) on one grid with the given spacing, mm."""
    before: Fit | None = None
    for number in reversed(range(wishes.levels)):
        before = _fit_level(make_level(fixed, moving, spacing, 2**number), before, wishes, rng)
    if before is None:
        raise RuntimeError("a registration has at least one level")
    before.draws = [_draw(before, rng) for _ in range(wishes.draws)]
    return before


def _fit_level(level: Level, before: Fit | None, wishes: Wishes, rng: np.random.Generator) -> Fit:
    nodes = Nodes(level.shape, wishes.every, level.scale)
    elastic = Elastic(nodes.shape, wishes.every * level.spacing, wishes.poisson)
    first = first_stiffness(elastic)
    start = np.zeros((*nodes.shape, 3)) if before is None else before.nodes.onto(before.displacement, nodes)
    fit = Fit(level, nodes, elastic, start, wishes.stiffness or first, 1.0)
    fit.noise = _noise(fit, 0.0)
    for _ in range(ROUNDS):
        fit.converged = _descend(fit)
        energies = [2 * elastic.energy(_draw(fit, rng)) for _ in range(PROBES)]
        fit.determined = float(np.clip(elastic.rank - fit.stiffness * np.mean(energies), 1.0, elastic.rank))
        fit.noise = _noise(fit, fit.determined)
        if wishes.stiffness is not None:
            continue
        stored = max(2 * elastic.energy(fit.displacement), 1e-12 * elastic.volume)
        following = float(np.clip(fit.determined / stored, first / STIFFEST, first * STIFFEST))
        change = abs(np.log(following / fit.stiffness))
        fit.stiffness = following
        if change < STEADY:
            break
    return fit


def first_stiffness(elastic: Elastic) -> float:
    """The stiffness for which the expected strain energy is that of EXPECTED_STRAIN everywhere."""
    return elastic.rank / (2 * EXPECTED_STRAIN**2 * elastic.volume)


def at_bound(fit: Fit) -> bool:
    """Whether the stiffness is as large or as small as it can be."""
    factor = fit.stiffness / first_stiffness(fit.elastic)
    return not 1.01 / STIFFEST < factor < 0.99 * STIFFEST


def _noise(fit: Fit, determined: float) -> float:
    residual, slope = fit.level.residual(fit.nodes.to_voxels(fit.displacement))
    seen = int(slope.any(axis=1).sum())
    scale = float(fit.level.fixed.std())
    mean = float(np.square(residual).sum()) / max(seen - determined, 0.1 * seen, 1.0)
    return max(float(np.sqrt(mean)), LEAST_NOISE * scale)


def _descend(fit: Fit) -> bool:
    """Gauss-Newton steps with halving; whether they settled."""
    cost = fit.cost(fit.displacement)
    for _ in range(STEPS):
        residual, slope = fit.level.residual(fit.nodes.to_voxels(fit.displacement))
        pull = fit.nodes.gather(slope * residual[:, None]) / fit.noise**2
        step = _solve(fit, slope, pull - fit.stiffness * fit.elastic.force(fit.displacement))
        for _ in range(HALVINGS):
            following = fit.cost(fit.displacement + step)
            if following < cost:
                break
            step = step / 2
        else:
            return True
        fit.displacement = fit.displacement + step
        gain, cost = cost - following, following
        if gain < SETTLED * cost:
            return True
    return False


def _draw(fit: Fit, rng: np.random.Generator) -> Floats:
    """A draw (x, y, z, 3) around the most probable displacement."""
    _, slope = fit.level.residual(fit.nodes.to_voxels(fit.displacement))
    data = fit.nodes.gather(slope * rng.standard_normal(len(slope))[:, None]) / fit.noise
    return _solve(fit, slope, data + np.sqrt(fit.stiffness) * fit.elastic.noise(rng))


def _solve(fit: Fit, slope: Floats, right: Floats) -> Floats:
    """H^-1 times a field, by conjugate gradients with the diagonal of H."""
    precision = 1 / fit.noise**2
    diagonal = precision * fit.nodes.gather_squares(np.square(slope)) + fit.stiffness * fit.elastic.diagonal()
    inverse = 1 / np.maximum(diagonal, 1e-12 * float(diagonal.max()))
    solution, left = np.zeros_like(right), right.copy()
    direction = inverse * left
    rho = float((left * direction).sum())
    goal = RESIDUAL**2 * rho
    for _ in range(ITERATIONS):
        if rho <= goal:
            break
        seen = (slope * fit.nodes.to_voxels(direction)).sum(axis=1, keepdims=True)
        image = precision * fit.nodes.gather(slope * seen) + fit.stiffness * fit.elastic.force(direction)
        length = rho / float((direction * image).sum())
        solution += length * direction
        left -= length * image
        scaled = inverse * left
        following = float((left * scaled).sum())
        direction = scaled + following / rho * direction
        rho = following
    return solution
