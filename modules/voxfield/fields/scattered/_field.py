"""Prediction and sampling from the nearest observations.

Every target is conditioned on its nearest observations, and in a joint sample on the nearest of observations and of
targets drawn before it (Vecchia 1988, on the latent field as in Katzfuss et al. 2020); up to NEIGHBOURS points that is
exact. Settings may be several, with weights: then the posterior is their mixture, which is what remains of settings
that few data leave open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from voxfield.fields._conditional import gains
from voxfield.fields._neighbours import Int, earlier_neighbours, nearest
from voxfield.fields.scattered._helmholtz import Real, Settings, covariance

NEIGHBOURS = 64
CHUNK_BYTES = 1e8


@dataclass(frozen=True)
class Prediction:
    """A field at places.

    mean  (p, d)
    sd    (p, d) of the field itself, without noise
    """

    mean: Real
    sd: Real


@dataclass(frozen=True)
class Component:
    """Settings, the variance that goes with them, and their posterior weight."""

    settings: Settings
    variance: float
    weight: float


class ScatteredGP:
    """Posterior of a field; made by `fit`.

    points      (n, d)
    values      (n, d) measured
    components  settings with weights that sum to 1
    """

    def __init__(self, points: Real, values: Real, components: Sequence[Component]) -> None:
        self.points = points
        self.values = values
        self.components = tuple(components)

    @property
    def noise_sd(self) -> float:
        """Of a component of the vectors, by the settings of largest weight."""
        best = max(self.components, key=lambda c: c.weight)
        return float(np.sqrt(best.variance * best.settings.noise_ratio))

    def predict(self, points: Real) -> Prediction:
        """Mean and standard deviation at points (p, d)."""
        near = nearest(cKDTree(self.points), points, min(NEIGHBOURS, len(self.points)))[1]
        parts = [self._predict(component, points, near) for component in self.components]
        weights = [component.weight for component in self.components]
        mean = np.tensordot(weights, [m for m, _ in parts], axes=1)
        square = np.tensordot(weights, [v + np.square(m - mean) for m, v in parts], axes=1)
        return Prediction(mean, np.sqrt(square))

    def sample(self, count: int, rng: np.random.Generator, points: Real) -> Real:
        """Joint draws of the field, (count, p, d)."""
        chosen = rng.choice(len(self.components), size=count, p=[c.weight for c in self.components])
        order = rng.permutation(len(points))
        every = np.concatenate([self.points, points[order]])
        single = np.arange(len(every))[:, None]
        near = earlier_neighbours(every, single, min(NEIGHBOURS, len(every) - 1))[len(self.points) :]
        draws = np.empty((count, len(points), points.shape[1]))
        for index in np.unique(chosen):
            which = np.flatnonzero(chosen == index)
            drawn = self._draw(self.components[index], every, near, rng.standard_normal((len(which), *points.shape)))
            draws[np.ix_(which, order)] = drawn
        return draws

    def _predict(self, component: Component, points: Real, near: Int) -> tuple[Real, Real]:
        mean, variance = np.empty_like(points), np.empty_like(points)
        for part in _parts(len(points), near.shape[1] * points.shape[1]):
            gain, left = _conditional(component.settings, self.points, points[part], near[part], len(self.points))
            known = self.values[near[part]].reshape(len(gain), -1)
            mean[part] = np.einsum("pam,pm->pa", gain, known)
            variance[part] = component.variance * np.diagonal(left, axis1=1, axis2=2)
        return mean, variance

    def _draw(self, component: Component, every: Real, near: Int, noise: Real) -> Real:
        """Draws (k, p, d) at the points behind the observations, one after another."""
        first, axes = len(self.points), every.shape[1]
        values = np.concatenate([np.broadcast_to(self.values, (len(noise), *self.values.shape)), noise], axis=1)
        for part in _parts(noise.shape[1], near.shape[1] * axes):
            gain, left = _conditional(component.settings, every, every[first:][part], near[part], first)
            root = np.sqrt(component.variance) * np.linalg.cholesky(left + JITTER * np.eye(axes))
            for row, target in enumerate(range(part.start, part.stop)):
                known = np.where(near[target][:, None] < 0, 0.0, values[:, near[target]]).reshape(len(values), -1)
                values[:, first + target] = known @ gain[row].T + noise[:, target] @ root[row].T
        return values[:, first:]


def _conditional(settings: Settings, points: Real, targets: Real, near: Int, noisy: int) -> tuple[Real, Real]:
    """Gain (p, d, m d) and covariance (p, d, d) of targets (p, d) given the points `near` (p, m), -1 for none.

    noisy  the first so many points are observed with noise
    """
    count, width = near.shape
    axes = targets.shape[1]
    absent = near < 0
    sources = points[np.where(absent, 0, near)]
    within = covariance(sources, sources, settings).reshape(count, width * axes, width * axes)
    cross = covariance(targets[:, None], sources, settings)[:, 0].reshape(count, axes, width * axes)
    noise = np.where(near < noisy, settings.noise_ratio, 0.0) + JITTER
    gain = gains(within, cross, np.repeat(noise, axes, axis=1), np.repeat(absent, axes, axis=1))
    return gain, np.eye(axes) - gain @ cross.transpose(0, 2, 1)


def _parts(total: int, width: int) -> list[slice]:
    """Parts of so many targets that their matrices (width, width) fit into memory."""
    step = max(1, int(CHUNK_BYTES / (8 * width**2)))
    return [slice(start, min(start + step, total)) for start in range(0, total, step)]


JITTER = 1e-9
"""Least noise, over the variance of the field."""
