"""Losses between a predicted distribution over ordered grades and a soft target.

Cross entropy ignores the order of the grades, the ranked probability score does not; both are proper, so
their sum is. Log-probabilities come in, since the heads of this family give them (see `networks.heads`).
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from voxfield.grading.losses.base import LabelLoss


@dataclass
class Ordinal(LabelLoss):
    """Cross entropy and ranked probability score.

    ranked  weight of the ranked probability score
    """

    ranked: Annotated[float, Ge(0)] = 1.0

    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """CE + ranked * RPS of each row, (n,)."""
        return cross_entropy(log_probability, target) + self.ranked * ranked_probability(log_probability, target)


def cross_entropy(log_probability: Tensor, target: Tensor) -> Tensor:
    """-sum_k t_k log p_k of each row; (n,) from (n, k) and (n, k)."""
    return -(target * log_probability).sum(1)


def ranked_probability(log_probability: Tensor, target: Tensor) -> Tensor:
    """sum_j (F_j - G_j)^2 / (k - 1) of each row, F and G cumulative; (n,) from (n, k) and (n, k).

    With a soft target this is the squared distance of two cumulative distributions: zero gradient where they
    agree.
    """
    gap = torch.cumsum(log_probability.exp() - target, dim=1)[:, :-1]
    return gap.square().sum(1) / gap.shape[1]


def one_hot(grades: Tensor, count: int) -> Tensor:
    """Grades (n,) as targets (n, count)."""
    return torch.nn.functional.one_hot(grades, count).to(torch.get_default_dtype())
