"""A trained operator as forward model and as prior, on arrays.

Training leaves the latent vectors without a distribution. Their inverse hyperbolic tangents over drawn permeabilities
are given a normal one, with the mean and covariance that they have; then the latent vector itself can be inferred, as
in the paper, but with a posterior instead of a point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from voxfield.pde.inverse._darcy import Floats, Observations, centres
from voxfield.pde.inverse._dgno import DeepGenerativeOperator
from voxfield.pde.inverse._level_set import LevelSetPrior
from voxfield.pde.inverse._sampler import LogLikelihood

SATURATED = 1 - 1e-6  # largest latent value that is taken back through tanh
JITTER = 1e-6

Encoding = Callable[[Floats], torch.Tensor]  # coefficients (n, size) of a prior -> latent vectors (n, d)


@dataclass(frozen=True)
class LatentPrior:
    """Permeabilities decoded from latent vectors tanh(mean + factor z), z standard normal."""

    model: DeepGenerativeOperator
    mean: Floats
    factor: Floats

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return len(self.mean)

    @property
    def cells(self) -> int:
        """Along an axis."""
        return self.model.darcy.cells

    def latent(self, coefficients: Floats) -> torch.Tensor:
        """Latent vectors (..., d)."""
        return torch.tensor(np.tanh(self.mean + coefficients @ self.factor.T), dtype=torch.float32)

    def field(self, coefficients: Floats) -> Floats:
        """The likelier permeability of each cell (..., n, n)."""
        darcy = self.model.darcy
        flat = self.latent(coefficients.reshape(-1, self.size))
        with torch.no_grad():
            high = self.model.logit(flat, _cell_places(self.cells)).numpy() > 0
        return np.where(high, darcy.high, darcy.low).reshape(*coefficients.shape[:-1], self.cells, self.cells)


def latent_prior(model: DeepGenerativeOperator, permeabilities: Floats) -> LatentPrior:
    """The normal distribution of what permeabilities (m, n, n), more than twice the latent size, are encoded by."""
    latent = _encode(model, permeabilities).numpy().astype(np.float64)
    codes = np.arctanh(np.clip(latent, -SATURATED, SATURATED))
    covariance = np.cov(codes.T)
    jitter = JITTER * np.trace(covariance) / len(covariance)
    return LatentPrior(model, codes.mean(axis=0), np.linalg.cholesky(covariance + jitter * np.eye(len(covariance))))


def learned_likelihood(
    model: DeepGenerativeOperator, encoding: Encoding, observations: Observations, calibration: tuple[Floats, Floats]
) -> LogLikelihood:
    """Of coefficients (n, size): the model's pressure at the observed points.

    What the model gets wrong there, over calibration pairs (coefficients, pressures at the points), joins the noise:
    its mean is taken off, its variance is added (Kaipio and Somersalo, Inverse Problems 23, 2007).
    """
    places = torch.tensor(observations.points, dtype=torch.float32)
    error = _at(model, encoding(calibration[0]), places) - calibration[1]
    widened = Observations(
        observations.points, observations.values + error.mean(axis=0),
        np.sqrt(observations.sd**2 + error.var(axis=0)),
    )  # fmt: skip
    return lambda coefficients: widened.log_likelihood(_at(model, encoding(coefficients), places))


def encoding_of(model: DeepGenerativeOperator, prior: LevelSetPrior | LatentPrior) -> Encoding:
    """How coefficients of a prior become latent vectors."""
    if isinstance(prior, LatentPrior):
        return prior.latent
    return lambda coefficients: _encode(model, prior.field(coefficients))


def learned_pressure(model: DeepGenerativeOperator, permeabilities: Floats) -> Floats:
    """Pressure (b, n, n) on the cells of permeabilities (b, n, n)."""
    found = _at(model, _encode(model, permeabilities), _cell_places(permeabilities.shape[-1]))
    return np.asarray(found.reshape(permeabilities.shape))


def _encode(model: DeepGenerativeOperator, permeabilities: Floats) -> torch.Tensor:
    with torch.no_grad():
        return model.encode(torch.tensor(permeabilities, dtype=torch.float32))


def _at(model: DeepGenerativeOperator, latent: torch.Tensor, places: torch.Tensor) -> Floats:
    with torch.no_grad():
        return np.asarray(model.solution(latent, places).numpy(), dtype=np.float64)


def _cell_places(count: int) -> torch.Tensor:
    x = centres(count)
    return torch.tensor(np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2), dtype=torch.float32)


def model_errors(model: DeepGenerativeOperator, permeabilities: Floats, pressures: Floats) -> tuple[float, float]:
    """Median relative L2 errors of the model's pressure, and of what it decodes from its own code, over (m, n, n)."""
    prior = LatentPrior(model, np.zeros(model.sizes.latent), np.eye(model.sizes.latent))
    codes = np.arctanh(np.clip(_encode(model, permeabilities).numpy().astype(np.float64), -SATURATED, SATURATED))
    pairs = ((learned_pressure(model, permeabilities), pressures), (prior.field(codes), permeabilities))
    norms = [(np.linalg.norm(a - b, axis=(1, 2)), np.linalg.norm(b, axis=(1, 2))) for a, b in pairs]
    forward, cycle = (float(np.median(error / size)) for error, size in norms)
    return forward, cycle
