"""Training of a deep generative operator, without a solution."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from voxfield.errors import InputError
from voxfield.pde.inverse._darcy import solve_darcy
from voxfield.pde.inverse._dgno import Darcy, DeepGenerativeOperator, Sizes
from voxfield.pde.inverse._latent import learned_pressure
from voxfield.pde.inverse._level_set import LevelSetPrior
from voxfield.pde.inverse._weak_form import Balls, losses

WEIGHTS = {"equation": 10.0, "law": 1.0, "permeability": 3.0}


@dataclass(frozen=True)
class Recipe:
    """Steps of Adam, permeabilities and places of each, and the first step size, which falls by half a cosine."""

    steps: int = 3000
    batch: int = 64
    places: int = 256
    learning_rate: float = 2e-3


def train(
    darcy: Darcy,
    sizes: Sizes,
    recipe: Recipe,
    *,
    seed: int,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> tuple[DeepGenerativeOperator, dict[str, list[float]]]:
    """A trained network, and its losses at every step. Raises InputError where the training diverges."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    prior = level_set_prior(darcy)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DeepGenerativeOperator(darcy, sizes)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    balls, history = Balls(), {name: list[float]() for name in WEIGHTS}
    for _ in progress(range(recipe.steps)):
        fields = prior.field(rng.standard_normal((recipe.batch, prior.size)))
        parts = losses(model, torch.tensor(fields, dtype=torch.float32), balls, recipe.places, generator)
        optimiser.zero_grad(set_to_none=True)
        torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        for name, part in parts.items():
            history[name].append(part.item())
    if not all(np.isfinite(values[-1]) for values in history.values()):
        raise InputError(f"the training diverged; its learning rate is {recipe.learning_rate:g}, lower it")
    model.eval()
    return model, history


def level_set_prior(darcy: Darcy) -> LevelSetPrior:
    """The permeabilities that a model was made for."""
    return LevelSetPrior(darcy.low, darcy.high, darcy.cells, darcy.waves, darcy.tau)


def forward_error(model: DeepGenerativeOperator, *, fields: int, seed: int) -> float:
    """Median relative L2 error of the pressure against finite volumes, over new permeabilities."""
    prior = level_set_prior(model.darcy)
    drawn = prior.field(np.random.default_rng(seed).standard_normal((fields, prior.size)))
    truth = np.stack([solve_darcy(a, model.darcy.forcing).pressure for a in drawn])
    error = learned_pressure(model, drawn) - truth
    return float(np.median(np.linalg.norm(error, axis=(1, 2)) / np.linalg.norm(truth, axis=(1, 2))))
