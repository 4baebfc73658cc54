"""Heads: from an embedding to log-probabilities of grades, so that soft targets fit every one of them.

- softmax: free logits, knows no order
- ordered: the proportional-odds model (McCullagh 1980), P(y > j) = sigmoid(s - b_j) with one score s and
  increasing thresholds b; k numbers instead of k weight vectors, which is what few labels can pay for. CORAL
  (Cao et al. 2020) is the same score with free biases, whose differences need not be probabilities; here they
  are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SoftmaxHead(nn.Module):  # type: ignore[misc]
    """Linear logits."""

    def __init__(self, width: int, grades: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, grades)

    def forward(self, embedding: Tensor) -> Tensor:
        """(n, width) to log-probabilities (n, grades)."""
        return functional.log_softmax(self.linear(embedding), dim=1)


class OrderedHead(nn.Module):  # type: ignore[misc]
    """One score and increasing thresholds."""

    def __init__(self, width: int, grades: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)
        # Thresholds that give every grade the same probability at score 0; steps are inverse softplus.
        levels = torch.logit(torch.arange(1, grades) / grades)
        self.first = nn.Parameter(levels[:1].clone())
        self.steps = nn.Parameter(torch.log(torch.expm1(levels.diff())))

    def forward(self, embedding: Tensor) -> Tensor:
        """(n, width) to log-probabilities (n, grades)."""
        gaps = functional.softplus(self.steps) + 1e-4
        bounds = torch.cat([self.first, self.first + torch.cumsum(gaps, 0)])
        above = self.score(embedding) - bounds  # (n, grades - 1), falling along the grades
        ends = [-functional.softplus(above[:, :1]), -functional.softplus(-above[:, -1:])]
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), whose logarithm is stable
        upper, lower = above[:, :-1], above[:, 1:]
        inner = torch.log(-torch.expm1(lower - upper)) - functional.softplus(-upper) - functional.softplus(lower)
        return torch.cat([ends[0], inner, ends[1]], dim=1)
