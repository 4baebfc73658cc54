"""Does the 95 % interval hold 95 %? Coverage over fields and noise that are drawn from the prior itself.

Marginal intervals per component, pooled over points, one mean per draw; the standard error is over draws. `latent` is
the field at the fine cells, `observed` a second measurement of the voxels. With `learn` the model is fitted to each
draw by its evidence, starting away from the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from voxfield.fields._evidence import Evidence
from voxfield.fields._model import Measured, Model
from voxfield.fields._observation import Observation
from voxfield.fields._posterior import Posterior
from voxfield.fields._prior import Box, Int, Prior, Real, centred
from voxfield.fields._search import Bounds, fit
from voxfield.fields._system import ObservationMap
from voxfield.intervals import NORMAL_95


@dataclass(frozen=True)
class Coverage:
    """Share of points in their interval, and its standard error over draws."""

    latent: float
    latent_error: float
    observed: float
    observed_error: float
    relative_error: float


@dataclass(frozen=True)
class Trial:
    """A tube of `radius` voxels and `length` voxels, `refine` cells to a voxel, under a true model."""

    truth: Model
    refine: int = 2
    radius: float = 2.3
    length: int = 8
    padding: int = 4

    def observation(self) -> Observation:
        """Cell averages in a box with room around the tube."""
        side = int(2 * np.ceil(self.radius)) + 1 + self.padding
        x, y, z = (self.refine * n for n in (side, side, self.length + self.padding))
        return Observation(Box((x, y, z), (1 / self.refine,) * 3, self.refine), "cell-average", "cell")

    def voxels(self) -> Int:
        """Voxels of the tube, (n, 3)."""
        x, y, z = np.indices(self.observation().box.coarse)
        middle = np.ceil(self.radius)
        return np.argwhere((np.hypot(x - middle, y - middle) < self.radius) & (z < self.length))


def coverage(trial: Trial, draws: int, rng: np.random.Generator, *, learn: bool) -> Coverage:
    """Coverage over independent draws of field and noise."""
    observation, voxels = trial.observation(), trial.voxels()
    cells = np.concatenate([trial.refine * voxels + step for step in np.ndindex((trial.refine,) * 3)])
    rows = np.array([_one(trial, observation, voxels, cells, rng, learn) for _ in range(draws)])
    mean, error = rows.mean(axis=0), rows.std(axis=0, ddof=1) / np.sqrt(draws)
    return Coverage(float(mean[0]), float(error[0]), float(mean[1]), float(error[1]), float(mean[2]))


def _one(
    trial: Trial, observation: Observation, voxels: Int, cells: Int, rng: np.random.Generator, learn: bool
) -> tuple[float, float, float]:
    """Latent coverage, observed coverage and relative error of one draw."""
    truth = trial.truth
    blank = Measured(voxels, np.zeros((len(voxels), 3, 1)), np.ones(len(voxels)), np.eye(3))
    seen = ObservationMap(Evidence(observation, blank, {}).covariance(truth))
    field = centred(Prior(observation.box, truth.length_mm, truth.smoothness).draw(rng))
    clean = seen.observe(field)
    root = np.linalg.cholesky(blank.noise(truth))
    first, second = (clean + np.einsum("nij,nj->ni", root, rng.standard_normal(clean.shape)) for _ in range(2))
    evidence = Evidence(observation, replace(blank, values=first[:, :, None]), {})
    model, variance = _model(evidence, truth, learn)
    posterior = Posterior(evidence, model, variance)
    mean = centred(posterior.mean(first)[0])
    at_cells, true = mean[(slice(None), *cells.T)].T, field[(slice(None), *cells.T)].T
    latent = np.abs(at_cells - true) <= NORMAL_95 * np.sqrt(posterior.kriging_variance(cells))
    spread = _voxel_variance(posterior, len(voxels)) + variance * np.einsum("nii->ni", evidence.measured.noise(model))
    observed = np.abs(posterior.map.observe(mean) - second) <= NORMAL_95 * np.sqrt(spread)
    error = float(np.linalg.norm(at_cells - true) / np.linalg.norm(true))
    return float(latent.mean()), float(observed.mean()), error


def _model(evidence: Evidence, truth: Model, learn: bool) -> tuple[Model, float]:
    if not learn:
        return truth, 1.0
    start = replace(truth, length_mm=0.6 * truth.length_mm, noise_ratio=4 * truth.noise_ratio, partial=0.0)
    bounds = Bounds((0.5, 20.0), partial=(0.0, 0.0))
    model = fit(evidence, start, bounds, evaluations=50)
    return model, evidence(model).variance


def _voxel_variance(posterior: Posterior, count: int) -> Real:
    """Posterior variance of what the voxels see, by dense algebra, (n, 3)."""
    covariance = posterior.map.covariance
    total = covariance.assemble(np.arange(count)[None], 0)[0]
    signal = total - _block_diagonal(covariance.noise)
    left = np.diag(signal) - np.einsum("ij,ji->i", signal, np.linalg.solve(total, signal))
    variance: Real = posterior.variance * left.reshape(count, 3)
    return variance


def _block_diagonal(blocks: Real) -> Real:
    count = len(blocks)
    whole = np.zeros((count, 3, count, 3))
    whole[np.arange(count), :, np.arange(count)] = blocks
    return whole.reshape(3 * count, 3 * count)
