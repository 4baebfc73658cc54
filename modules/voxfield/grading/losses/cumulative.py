"""The loss of CORAL (Cao, Mirjalili and Raschka 2020): K - 1 binary cross entropies "is the grade above j?".

    L = -sum_j T_j log P(y > j) + (1 - T_j) log P(y <= j),       T_j = sum_{k > j} t_k

The paper has T_j in {0, 1}; the cumulative sum of a soft target fits as well. P comes from the distribution that any
head gives. For heads `coral` and `ordered` the logit of P(y > j) is what the paper calls the logit of answer j.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from voxfield.grading.losses.base import LabelLoss


@dataclass
class Cumulative(LabelLoss):
    """Sum of the binary cross entropies; no options."""

    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """See the module; (n,)."""
        return answers_loss(*log_tails(log_probability), above(target))


def above(mass: Tensor) -> Tensor:
    """Mass above each grade but the highest; (n, k - 1) from (n, k)."""
    return mass.flip(1).cumsum(1).flip(1)[:, 1:]


def log_tails(log_probability: Tensor) -> tuple[Tensor, Tensor]:
    """log P(y > j) and log P(y <= j), (n, k - 1) each; each summed from its own end, so neither loses its digits."""
    upper = torch.logcumsumexp(log_probability.flip(1), 1).flip(1)[:, 1:]
    return upper, torch.logcumsumexp(log_probability, 1)[:, :-1]


def answers_loss(log_yes: Tensor, log_no: Tensor, yes: Tensor) -> Tensor:
    """Sum of binary cross entropies; (n,) from log-probabilities of both answers and their targets, (n, m) each."""
    return -(yes * log_yes + (1 - yes) * log_no).sum(1)
