"""What is optimised, how long and how hard; the draw of rows, the pace, and the seed of every step."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxfield.grading import augment
from voxfield.grading.algorithms.base import Algorithm
from voxfield.grading.losses.base import LabelLoss

# Adam moves a parameter by at most about the learning rate a step. Thresholds and slope of the head have to
# travel several units within a few hundred steps, or the grades in the middle stay in doubt: it moves faster.
HEAD_RATE = 5.0


@dataclass(frozen=True)
class Plan:
    """How long and how hard to train.

    steps, batch     optimiser steps; labelled rows a step
    learning_rate    at its peak           weight_decay  of AdamW
    average          decay of the moving average of the weights, reached after a short ramp
    strength         of the strong view    mirror        see `augment.view_images`
    every            steps between two checkpoints, and between two checks
    patience         checks without a better one, after which training stops; 0: no checks
    balance          labelled rows of a grade are drawn in proportion to its frequency to the power of 1 - balance
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    average: float
    strength: augment.Strength
    mirror: tuple[int, ...]
    every: int
    seed: int
    patience: int = 0
    balance: float = 0.0


@dataclass(frozen=True)
class Method:
    """What is optimised: an algorithm, and what its labelled rows cost."""

    algorithm: Algorithm
    loss: LabelLoss


def optimiser(network: Any, parts: Any, plan: Plan) -> Any:
    """AdamW for a network and the modules trained beside it."""
    networks = [network, *(part for part in parts.values() if hasattr(part, "head"))]
    heads = [p for one in networks for p in one.head.parameters()]
    known = {id(p) for p in heads}
    body = [p for p in (*network.parameters(), *parts.parameters()) if id(p) not in known]
    groups = ((HEAD_RATE * plan.learning_rate, 0.0, heads), (plan.learning_rate, plan.weight_decay, body))
    return torch.optim.AdamW(
        [{"params": p, "lr": rate, "peak": rate, "weight_decay": decay} for rate, decay, p in groups]
    )


def schedule(step: int, steps: int, warm: float = 0.1) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to 1 %."""
    ramp = max(round(warm * steps), 1)
    if step < ramp:
        return (step + 1) / ramp
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - ramp) / max(steps - ramp, 1)))


def chances(grades: Tensor, balance: float) -> Tensor:
    """Relative chance (n,) of each row to be drawn: the frequency of its grade to the power of -balance."""
    return torch.bincount(grades)[grades].double() ** -balance


def draw_by_chance(chance: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` rows by their relative chances (n,), one independent of the other."""
    return torch.multinomial(chance, count, replacement=True, generator=generator)


def draw(size: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` rows out of `size`, without repetition as far as they go."""
    rounds = [torch.randperm(size, generator=generator) for _ in range(-(-count // size))]
    return torch.cat(rounds)[:count]


def step_seed(seed: int, step: int) -> int:
    """A seed of its own for each step; hashing keeps the streams of neighbouring seeds apart."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
