"""Heads: from an embedding to log-probabilities of grades, so that soft targets fit every one of them.

- softmax: free logits, knows no order
- ordered: the proportional-odds model (McCullagh 1980), P(y > j) = sigmoid(s - b_j) with one score s and
  thresholds b that increase by construction; k numbers instead of k weight vectors, which is what few labels can
  pay for
- coral: the same score with free biases (Cao, Mirjalili and Raschka, "Rank consistent ordinal regression for neural
  networks with application to age estimation", 2020). The paper proves that biases fall along the grades where
  its loss is least; before that their differences need not be probabilities. Here they are sorted before use, which
  changes nothing at the least loss
- corn: conditional chances P(y > j | y >= j) = sigmoid(z_j) with free logits (Shi, Cao and Raschka, "Deep neural
  networks for rank-consistent ordinal regression based on conditional probabilities", 2021), so
  P(y = k) = (1 - sigmoid(z_k)) prod_{j < k} sigmoid(z_j): probabilities whatever the logits

CORAL and CORN are defined with losses on their K - 1 binary answers. All heads here give distributions, and the
answers follow from those, so these losses are label losses for any head: `cumulative` and `conditional`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_GAP = 1e-4  # between two cumulative logits: no grade has the probability 0


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
        # Steps are inverse softplus.
        levels = _even_levels(grades)
        self.first = nn.Parameter(levels[:1].clone())
        self.steps = nn.Parameter(torch.log(torch.expm1(levels.diff())))

    def forward(self, embedding: Tensor) -> Tensor:
        """(n, width) to log-probabilities (n, grades)."""
        gaps = functional.softplus(self.steps) + LEAST_GAP
        bounds = torch.cat([self.first, self.first + torch.cumsum(gaps, 0)])
        return _between(self.score(embedding) - bounds)


class CoralHead(nn.Module):  # type: ignore[misc]
    """One score and free biases, sorted."""

    def __init__(self, width: int, grades: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)
        self.bias = nn.Parameter(-_even_levels(grades))

    def forward(self, embedding: Tensor) -> Tensor:
        """(n, width) to log-probabilities (n, grades)."""
        falling = self.bias.sort(descending=True).values
        return _between(self.score(embedding) + falling - LEAST_GAP * torch.arange(len(falling)).to(falling))


class CornHead(nn.Module):  # type: ignore[misc]
    """Free logits of getting beyond a grade, given that it is reached."""

    def __init__(self, width: int, grades: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, grades - 1)

    def forward(self, embedding: Tensor) -> Tensor:
        """(n, width) to log-probabilities (n, grades)."""
        logits = self.linear(embedding)
        reached = functional.pad(torch.cumsum(functional.logsigmoid(logits), 1), (1, 0))
        stays = functional.pad(functional.logsigmoid(-logits), (0, 1))
        return reached + stays


def _even_levels(grades: int) -> Tensor:
    """Thresholds (grades - 1,) that give every grade the same probability at score 0."""
    return torch.logit(torch.arange(1, grades) / grades)


def _between(above: Tensor) -> Tensor:
    """Log-probabilities (n, grades) from the logits of P(y > j), (n, grades - 1), which fall along the grades."""
    lowest, highest = -functional.softplus(above[:, :1]), -functional.softplus(-above[:, -1:])
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), whose logarithm is stable
    upper, lower = above[:, :-1], above[:, 1:]
    inner = torch.log(-torch.expm1(lower - upper)) - functional.softplus(-upper) - functional.softplus(lower)
    return torch.cat([lowest, inner, highest], dim=1)
