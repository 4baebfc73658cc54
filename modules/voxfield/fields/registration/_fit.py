"""The most probable displacement, draws around it, and the weights of data and prior.

Prior and noise are Gaussian: minus the log posterior is |fixed - moving(x + u)|^2 / (2 s^2) + t U(u), U the strain
energy of `_elastic`. Its minimum is found by Gauss-Newton steps, solved by conjugate gradients, from coarse to fine.
The Hessian there is H = G^T G / s^2 + t K; a draw of the Laplace approximation is the solution of H d = G^T e / s +
t^(1/2) K^(1/2) e' with standard normal e, e' (Papandreou and Yuille, NIPS 2010). From draws follow the expected
energies, and from them the evidence's fixed point for both weights (MacKay, "Bayesian interpolation", Neural
Computation 4, 1992, equations 4.8 and 4.9): with g = rank K - t E[d^T K d] well determined parameters,
t = g / (u^T K u), s^2 = |residual|^2 / (w - g).

What differs from the textbook is w. The noise of the moving image is interpolated: less of it is left in the residual,
and what is left hangs together, so that the smooth displacement is told by noise of the same density at low frequencies
as before. With the number of voxels for w, s and all standard deviations would be too small. It is the sum of squares
that white noise of variance 1/2 in both images leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.registration._elastic import Elastic
from voxfield.fields.registration._levels import Level, make_level
from voxfield.fields.registration._nodes import Nodes

Floats = NDArray[np.float64]
Bool = NDArray[np.bool_]

STEPS = 12
HALVINGS = 6
SETTLED = 1e-4
"""Share of the energy that a step has to gain for another one to follow."""
ROUNDS = 5
STEADY = 0.1
"""Relative change of stiffness and noise below which they are settled."""
PROBES = 4
"""Draws for the evidence."""
EXPECTED_STRAIN = 0.1
"""Strain that the first guess of the stiffness expects."""
STIFFEST = 1e4
"""Largest factor between the stiffness and its first guess."""
ITERATIONS, RESIDUAL = 150, 1e-3
SOFT = 1e-3
"""Shear modulus of what lies outside the region, over that inside."""
DRAW_BYTES = 2e8
"""Memory for the voxels of the draws that are solved for at once."""
TINY = 1e-300
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
    noise       s of the difference of the images, unit of the images
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
    draws: Floats = field(default_factory=lambda: np.empty((0, 0, 0, 0, 3)))

    def cost(self, displacement: Floats) -> float:
        """Minus the log posterior, up to a constant."""
        residual, _ = self.level.residual(self.nodes.to_voxels(displacement))
        misfit = float(np.square(residual).sum()) / (2 * self.noise**2)
        return misfit + self.stiffness * self.elastic.energy(displacement)


def fit_displacement(
    fixed: Floats, moving: Floats, region: Bool, spacing: Floats, wishes: Wishes, rng: np.random.Generator
) -> Fit:
    """Register images (x, y, z) on one grid with the given spacing, mm, looking at a region of the fixed one."""
    before: Fit | None = None
    for number in reversed(range(wishes.levels)):
        before = _fit_level(make_level(fixed, moving, region, spacing, 2**number), before, wishes, rng)
    if before is None:
        raise RuntimeError("a registration has at least one level")
    before.draws = _draws(before, wishes.draws, rng)
    return before


def _fit_level(level: Level, before: Fit | None, wishes: Wishes, rng: np.random.Generator) -> Fit:
    nodes = Nodes(level.shape, wishes.every, level.scale)
    moduli = np.where(nodes.bricks(level.region), 1.0, SOFT)
    elastic = Elastic(nodes.shape, wishes.every * level.spacing, wishes.poisson, moduli)
    first = first_stiffness(elastic)
    start = np.zeros((*nodes.shape, 3)) if before is None else before.nodes.onto(before.displacement, nodes)
    fit = Fit(level, nodes, elastic, start, wishes.stiffness or first, 1.0)
    fit.noise = _noise(fit, 0.0, rng)
    for _ in range(ROUNDS):
        before_noise, before_stiffness = fit.noise, fit.stiffness
        fit.converged = _descend(fit)
        stored = 2 * np.mean([elastic.energy(draw) for draw in _draws(fit, PROBES, rng)])
        fit.determined = float(np.clip(elastic.rank - fit.stiffness * stored, 1.0, elastic.rank))
        fit.noise = _noise(fit, fit.determined, rng)
        if wishes.stiffness is None:
            spent = max(2 * elastic.energy(fit.displacement), 1e-12 * elastic.volume)
            fit.stiffness = float(np.clip(fit.determined / spent, first / STIFFEST, first * STIFFEST))
        changes = np.log([fit.noise / before_noise, fit.stiffness / before_stiffness])
        if np.abs(changes).max() < STEADY:
            break
    return fit


def first_stiffness(elastic: Elastic) -> float:
    """The stiffness for which the expected strain energy is that of EXPECTED_STRAIN everywhere."""
    return elastic.rank / (2 * EXPECTED_STRAIN**2 * elastic.volume)


def at_bound(fit: Fit) -> bool:
    """Whether the stiffness is as large or as small as it can be."""
    factor = fit.stiffness / first_stiffness(fit.elastic)
    return not 1.01 / STIFFEST < factor < 0.99 * STIFFEST


def _noise(fit: Fit, determined: float, rng: np.random.Generator) -> float:
    displacement = fit.nodes.to_voxels(fit.displacement)
    residual, _ = fit.level.residual(displacement)
    left = fit.level.noise_left(displacement, rng)
    mean = float(np.square(residual).sum()) / max(left - determined, 0.1 * left, 1e-9)
    return max(float(np.sqrt(mean)), LEAST_NOISE * float(fit.level.fixed.std()))


def _descend(fit: Fit) -> bool:
    """Gauss-Newton steps with halving; whether they settled."""
    cost = fit.cost(fit.displacement)
    for _ in range(STEPS):
        residual, slope = fit.level.residual(fit.nodes.to_voxels(fit.displacement))
        pull = fit.nodes.gather(slope * residual[:, None]) / fit.noise**2
        step = _solve(fit, slope, (pull - fit.stiffness * fit.elastic.force(fit.displacement))[None])[0]
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


def _draws(fit: Fit, count: int, rng: np.random.Generator) -> Floats:
    """Draws (count, x, y, z, 3) around the most probable displacement, as many at once as fit into memory."""
    _, slope = fit.level.residual(fit.nodes.to_voxels(fit.displacement))
    most = max(1, int(DRAW_BYTES / slope.nbytes))
    drawn = []
    for start in range(0, count, most):
        now = min(most, count - start)
        data = fit.nodes.gather(slope * rng.standard_normal((now, len(slope), 1))) / fit.noise
        prior = np.stack([fit.elastic.noise(rng) for _ in range(now)])
        drawn.append(_solve(fit, slope, data + np.sqrt(fit.stiffness) * prior))
    return np.concatenate(drawn)


def _solve(fit: Fit, slope: Floats, right: Floats) -> Floats:
    """H^-1 times fields (k, x, y, z, 3), by conjugate gradients with the diagonal of H."""
    precision = 1 / fit.noise**2
    diagonal = precision * fit.nodes.gather_squares(np.square(slope)) + fit.stiffness * fit.elastic.diagonal()
    inverse = 1 / np.maximum(diagonal, 1e-12 * float(diagonal.max()))
    solution, left = np.zeros_like(right), right.copy()
    direction = inverse * left
    rho = _products(left, direction)
    goal = RESIDUAL**2 * rho
    for _ in range(ITERATIONS):
        if (rho <= goal).all():
            break
        seen = (slope * fit.nodes.to_voxels(direction)).sum(axis=-1, keepdims=True)
        image = precision * fit.nodes.gather(slope * seen) + fit.stiffness * fit.elastic.force(direction)
        length = rho / np.maximum(_products(direction, image), TINY)
        solution += length * direction
        left -= length * image
        scaled = inverse * left
        following = _products(left, scaled)
        direction = scaled + following / np.maximum(rho, TINY) * direction
        rho = following
    return solution


def _products(first: Floats, second: Floats) -> Floats:
    """Scalar products (k, 1, 1, 1, 1) of fields."""
    found: Floats = (first * second).sum(axis=(1, 2, 3, 4), keepdims=True)
    return found
