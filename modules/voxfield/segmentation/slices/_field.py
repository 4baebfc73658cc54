"""The neural field: a point of space in, one logit a label out, estimated in a few rounds.

OReX (Sawdayee, Vaxman and Bermano, CVPR 2023, arXiv 2211.12886), section 3: one small network runs several times over
the Fourier features g(x) of a point. It gets its last estimate f and a hidden state h and corrects them,

    (r, h') = MLP(g(x), f, h + e_i),    f' = f + r,    f_0 and h_0 learned, e_i a learned code of round i.

Ours: more than one label (the logit of background is 0, so that one label is the paper's sigmoid); SiLU, which has the
second derivatives that the gradient term needs; and fixed frequencies up to the one that the gap between planes still
samples (see `_fit`), where the paper learns them.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, DEPTH, HIDDEN, ROUNDS = 64, 3, 16, 3


class Field(nn.Module):  # type: ignore[misc]
    """Logits of labels at points.

    labels  number of labels without background
    bands   octaves of Fourier features; band b has the wavelength 4 / 2^b in units of x
    """

    frequencies: Tensor

    def __init__(self, labels: int, bands: int) -> None:
        super().__init__()
        self.labels = labels
        self.register_buffer("frequencies", math.pi / 2 * 2.0 ** torch.arange(bands), persistent=False)
        sizes = [3 + 6 * bands + labels + HIDDEN, *[WIDTH] * DEPTH]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.correct = nn.Linear(WIDTH, labels + HIDDEN)
        self.first_estimate = nn.Parameter(torch.zeros(labels))
        self.first_state = nn.Parameter(torch.zeros(HIDDEN))
        self.round_codes = nn.Parameter(0.3 * torch.randn(ROUNDS, HIDDEN))

    def forward(self, points: Tensor) -> list[Tensor]:
        """Estimates (n, labels) after each round, for points (n, 3) in about [-1, 1]."""
        features = self._features(points)
        estimate = self.first_estimate.expand(len(points), -1)
        state = self.first_state.expand(len(points), -1)
        estimates = []
        for code in self.round_codes:
            value = torch.cat([features, estimate, state + code], dim=1)
            for layer in self.layers:
                value = functional.silu(layer(value))
            residual, state = self.correct(value).split([self.labels, HIDDEN], dim=1)
            estimate = estimate + residual
            estimates.append(estimate)
        return estimates

    def _features(self, points: Tensor) -> Tensor:
        angles = (points[:, :, None] * self.frequencies).flatten(1)
        return torch.cat([points, angles.sin(), angles.cos()], dim=1)


def with_background(logits: Tensor) -> Tensor:
    """Logits (n, 1 + labels) with that of background, 0, in front."""
    return functional.pad(logits, (1, 0))
