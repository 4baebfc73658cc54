"""MultiONet: functions of a place x, given by a latent vector beta, from every layer of two networks.

    G(x; beta) = (1/l) sum_k w_k <trunk_k(x), branch_k(beta)> + b

over the last l layers (Zang and Koutsourelakis, arXiv 2502.06250, eq. 21); a DeepONet is l = 1. The function is linear
in the trunk, so that one pass of the trunk over the places, with its derivatives by forward mode, serves all betas of
a batch: the cost of a weak residual hardly grows with the batch (different from the paper, which differentiates each
function by reverse mode).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Layers(nn.Module):  # type: ignore[misc]
    """A network of equal width, (n, inputs) -> the outputs of its last layers, (n, last * width)."""

    def __init__(self, inputs: int, width: int, depth: int, last: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(width if n else inputs, width) for n in range(depth))
        self.last, self.activation = last, activation

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for linear in self.linear:
            x = self.activation(linear(x))
            found.append(x)
        return torch.cat(found[-self.last :], dim=-1)


class Trunk(Layers):
    """Of places (n, 2), with waves for activations."""

    def __init__(self, width: int, depth: int, last: int) -> None:
        super().__init__(2, width, depth, last, wave)

    def with_slopes(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs (n, last * width) and their derivatives along x and y (2, n, last * width)."""
        x, slope = places, torch.eye(2)[:, None].expand(2, len(places), 2)
        found, slopes = [], []
        for linear in self.linear:
            before = linear(x)
            x, slope = wave(before), wave_slope(before) * (slope @ linear.weight.T)
            found.append(x)
            slopes.append(slope)
        return torch.cat(found[-self.last :], dim=-1), torch.cat(slopes[-self.last :], dim=-1)


class MultiONet(nn.Module):  # type: ignore[misc]
    """G at places (p, 2) of the unit square for latent vectors (b, latent): (b, p)."""

    def __init__(self, latent: int, *, width: int, depth: int, last: int) -> None:
        super().__init__()
        self.trunk = Trunk(width, depth, last)
        self.branch = Layers(latent, width, depth, last, gated)
        self.weight = nn.Parameter(torch.zeros(last))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, latent: Tensor, places: Tensor) -> Tensor:
        return self.combine(self.coefficients(latent), self.trunk(places))

    def with_gradient(self, latent: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Values (b, p) and gradients (b, p, 2)."""
        coefficients = self.coefficients(latent)
        values, slopes = self.trunk.with_slopes(places)
        return self.combine(coefficients, values), torch.stack([coefficients @ slope.T for slope in slopes], dim=-1)

    def coefficients(self, latent: Tensor) -> Tensor:
        """(b, last * width), what the layers of the trunk are multiplied by."""
        branch = self.branch(latent)
        width = branch.shape[-1] // len(self.weight)
        return branch * (self.weight / len(self.weight)).repeat_interleave(width)

    def combine(self, coefficients: Tensor, trunk: Tensor) -> Tensor:
        """(b, p) from coefficients and from the trunk at places (p, last * width)."""
        return coefficients @ trunk.T + self.bias


def wave(x: Tensor) -> Tensor:
    """tanh(sin(pi (x + 1))) + x, of the trunks."""
    return torch.tanh(torch.sin(math.pi * (x + 1))) + x


def wave_slope(x: Tensor) -> Tensor:
    """Derivative of `wave`."""
    turned = math.pi * (x + 1)
    return (1 - torch.tanh(torch.sin(turned)) ** 2) * torch.cos(turned) * math.pi + 1


def gated(x: Tensor) -> Tensor:
    """SiLU(x) + x, of the branches."""
    return nn.functional.silu(x) + x
