"""Training of networks that go both ways, on pairs by finite volumes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from voxfield.pde.inverse._darcy import solve_darcy
from voxfield.pde.inverse._dgno import Darcy
from voxfield.pde.inverse._train import level_set_prior
from voxfield.pde.inverse._two_way import Kind, TwoWay, cycle_errors


class Pairs(NamedTuple):
    """Permeabilities and their pressures (m, n, n), float32."""

    permeability: Tensor
    pressure: Tensor


class TwoWayErrors(NamedTuple):
    """Relative L2 over all of a set: of either direction, and of going there and back from either side."""

    forward: float
    inverse: float
    cycle_permeability: float
    cycle_pressure: float


def draw_pairs(darcy: Darcy, count: int, rng: np.random.Generator) -> Pairs:
    """Permeabilities of the prior, solved."""
    prior = level_set_prior(darcy)
    fields = prior.field(rng.standard_normal((count, prior.size)))
    solved = np.stack([solve_darcy(a, darcy.forcing).pressure for a in fields])
    return Pairs(torch.tensor(fields, dtype=torch.float32), torch.tensor(solved, dtype=torch.float32))


def train_two_way(
    darcy: Darcy, kind: Kind, pairs: Pairs, *, steps: int, seed: int, batch: int = 32, learning_rate: float = 3e-3
) -> TwoWay:
    """Both directions at once: relative L2 of the pressure, and cross entropy of the permeability."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TwoWay(darcy, kind)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.randint(len(pairs.pressure), (batch,), generator=generator)
        a, u = pairs.permeability[chosen], pairs.pressure[chosen]
        forward = (network(a) - u).norm() / u.norm()
        inverse = binary_cross_entropy_with_logits(network.logit(u), (a > darcy.mean).float())
        optimiser.zero_grad(set_to_none=True)
        (forward + inverse).backward()
        optimiser.step()
        schedule.step()
    return network


def two_way_errors(network: TwoWay, pairs: Pairs) -> TwoWayErrors:
    """On pairs that trained nothing."""
    a, u = pairs
    with torch.no_grad():
        forward = float((network(a) - u).norm() / u.norm())
        inverse = float((network.inverse(u) - a).norm() / a.norm())
    return TwoWayErrors(forward, inverse, *cycle_errors(network, a, u))
