"""Neural spectral block: a patch summed up in a few latent tokens, moved there, and read back.

Wu, Hu, Luo, Wang and Long, "Solving High-Dimensional PDEs with Latent Spectral Models", ICML 2023 (arXiv 2301.12664),
section 3.2, every head by itself:

    encoder     T <- T + softmax over pixels (T K(x)^T) V(x)             a few learnt tokens T ask the pixels x
    transition  T <- T + w_0 + sum_i [s_i sin(i pi T / N) + c_i cos(i pi T / N)],  i = 1..N
    decoder     x <- x + softmax over tokens (Q(x) T^T) T                 pixels ask the tokens

Softmax without 1/sqrt(d), as there. The weights of the transition begin at zero, so that it begins as the identity; the
sine of frequency 0, which vanishes, is left out.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor, nn

from voxfield.pde.operators._patches import merge, split


class NeuralSpectralBlock(nn.Module):  # type: ignore[misc]
    """(b, channels, *grid) -> the same shape; the sides of the grid are multiples of `patch`.

    channels  a multiple of `heads`
    patch     points a side
    tokens    of every head
    basis     N, sines and cosines each
    """

    def __init__(self, channels: int, patch: int, *, tokens: int = 4, basis: int = 12, heads: int = 8) -> None:
        super().__init__()
        self.patch, self.heads = patch, heads
        self.tokens = nn.Parameter(0.02 * torch.randn(heads, tokens, channels // heads))
        self.encoder = nn.Linear(channels, 2 * channels)
        self.decoder = nn.Linear(channels, channels)
        self.transition = TrigonometricTransition(channels, basis)

    def forward(self, x: Tensor) -> Tensor:
        """Every patch by itself, all with the same tokens and weights."""
        pixels = split(x, self.patch)
        keys, values = (self._by_head(part) for part in self.encoder(pixels).chunk(2, dim=-1))
        tokens = self.tokens + torch.softmax(self.tokens @ keys.mT, dim=-1) @ values
        tokens = self._by_head(self.transition(self._together(tokens)))
        answers = torch.softmax(self._by_head(self.decoder(pixels)) @ tokens.mT, dim=-1) @ tokens
        return merge(pixels + self._together(answers), self.patch, x.shape[2:])

    def _by_head(self, x: Tensor) -> Tensor:
        """(p, m, c) -> (p, heads, m, c / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _together(self, x: Tensor) -> Tensor:
        """(p, heads, m, c / heads) -> (p, m, c)."""
        return x.transpose(1, 2).flatten(2)


class TrigonometricTransition(nn.Module):  # type: ignore[misc]
    """T (..., channels) -> T + w_0 + sum_i [s_i sin(i pi T / N) + c_i cos(i pi T / N)], weights a channel."""

    def __init__(self, channels: int, basis: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.zeros(channels))
        self.sines = nn.Parameter(torch.zeros(channels, basis))
        self.cosines = nn.Parameter(torch.zeros(channels, basis))

    def forward(self, tokens: Tensor) -> Tensor:
        """The same shape."""
        basis = self.sines.shape[1]
        phase = tokens[..., None] * (pi / basis) * torch.arange(1, basis + 1, device=tokens.device)
        change = (self.sines * torch.sin(phase) + self.cosines * torch.cos(phase)).sum(-1)
        return tokens + self.constant + change
