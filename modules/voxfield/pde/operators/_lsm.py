"""Latent Spectral Model: a U-Net whose skip connections pass through neural spectral blocks.

Wu et al., ICML 2023 (arXiv 2301.12664), section 3.1: features on a hierarchy of grids, each half as fine as the one
before; on every grid, every patch goes through a neural spectral block; then the grids are put together from coarse to
fine. Coordinates are appended to the input. Different from the paper: group in place of batch normalisation (what a
sample gives does not depend on the others), means in place of maxima on the way down, by default three grids, 16
channels and 2 heads, which a CPU trains in minutes, and any grid size: it is padded inside.

A convolution knows one spacing. Prediction on other grids is possible, but not meant: `one_spacing`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from voxfield.errors import SettingsError
from voxfield.pde.operators._patches import crop, pad_to_multiple
from voxfield.pde.operators._spectral_block import NeuralSpectralBlock

HIDDEN = 128  # of the last two layers, as in the paper
WIDEST = 8  # times the channels of the finest grid
GROUPS = 4


class LatentSpectralModel(nn.Module):  # type: ignore[misc]
    """(b, channels, *grid), places (dims, *grid) -> (b, 1, *grid), grids of 2 or 3 axes.

    width   of the finest grid; twice as many on every coarser one, up to 8 times; a multiple of `heads` and of 4
    levels  number of grids
    patch   points a side of a patch, on every grid
    tokens  latent tokens of a patch and head
    basis   sines and cosines of the transition
    """

    one_spacing = True

    def __init__(
        self,
        channels: int,
        dims: int,
        *,
        width: Annotated[int, Ge(8), Le(256)] = 16,
        levels: Annotated[int, Ge(1), Le(6)] = 3,
        patch: Annotated[int, Ge(1), Le(64)] = 4,
        tokens: Annotated[int, Ge(1), Le(64)] = 4,
        basis: Annotated[int, Ge(1), Le(64)] = 12,
        heads: Annotated[int, Ge(1), Le(64)] = 2,
    ) -> None:
        super().__init__()
        self.multiple = patch * 2 ** (levels - 1)
        widths = [width * min(2**level, WIDEST) for level in range(levels)]
        if width % heads or width % GROUPS:
            raise SettingsError(f"network lsm: width is {width}; expected a multiple of {heads} heads and of {GROUPS}")
        convolution = nn.Conv2d if dims == 2 else nn.Conv3d
        self.pool = (nn.AvgPool2d if dims == 2 else nn.AvgPool3d)(2)
        self.rise = nn.Upsample(scale_factor=2, mode="bilinear" if dims == 2 else "trilinear")
        self.lift = _double(convolution, channels + dims, width)
        self.down = nn.ModuleList(_double(convolution, a, b) for a, b in pairwise(widths))
        self.blocks = nn.ModuleList(
            NeuralSpectralBlock(one, patch, tokens=tokens, basis=basis, heads=heads) for one in widths
        )
        self.up = nn.ModuleList(_double(convolution, a + b, a) for a, b in pairwise(widths))
        self.head = nn.Sequential(convolution(width, HIDDEN, 1), nn.GELU(), convolution(HIDDEN, 1, 1))

    def forward(self, values: Tensor, places: Tensor) -> Tensor:
        """The solution, in the units in which the network was trained."""
        x = torch.cat([values, places.expand(len(values), *places.shape)], dim=1)
        scales = [self.lift(pad_to_multiple(x, self.multiple))]
        for down in self.down:
            scales.append(down(self.pool(scales[-1])))
        seen = [block(scale) for block, scale in zip(self.blocks, scales, strict=True)]
        x = seen.pop()
        for up in reversed(self.up):
            x = up(torch.cat([seen.pop(), self.rise(x)], dim=1))
        return crop(self.head(x), values.shape[2:])


def _double(convolution: type[nn.Module], before: int, after: int) -> nn.Sequential:
    """Twice convolution, normalisation and GELU."""
    parts: list[nn.Module] = []
    for channels in (before, after):
        parts += [convolution(channels, after, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, after), nn.GELU()]
    return nn.Sequential(*parts)
