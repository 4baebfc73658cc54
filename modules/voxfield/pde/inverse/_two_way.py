"""Networks that go both ways between permeability and pressure, through a latent space of each.

    forward(a) = decode_u(T(encode_a(a)))        inverse(u) = decode_a(S(encode_u(u)))

(Gupta et al., generalised forward-inverse framework, arXiv 2410.11247.) In a Latent U-Net T and S are two U-Nets; in an
Invertible X-Net T is one invertible U-Net and S its inverse, so that what either direction learns the other has
too. T is invertible to round-off; the encoders and decoders are not, and `cycle_errors` tells by how much.

Made smaller than the paper's (thousands of weights instead of millions), and for a square grid of any size: it is
padded by its own edge to a multiple of four cells.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, pixel_shuffle, pixel_unshuffle

from voxfield.pde.inverse._dgno import Darcy

Kind = Literal["latent_unet", "xnet"]


class Coupling(nn.Module):  # type: ignore[misc]
    """Additive coupling of two halves of the channels: y1 = x1 + F(x2), y2 = x2 + G(y1). (b, c, i, j), c even."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _residual(channels // 2), _residual(channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        one, two = x.chunk(2, dim=1)
        one = one + self.first(two)
        return torch.cat([one, two + self.second(one)], dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        one, two = y.chunk(2, dim=1)
        two = two - self.second(one)
        return torch.cat([one - self.first(two), two], dim=1)


class InvertibleUNet(nn.Module):  # type: ignore[misc]
    """Couplings on a grid, on half of the channels of one with half as many cells, and on the grid again.

    What goes down is a rearrangement of cells to channels, which loses nothing; the other half is the skip.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.after = Coupling(channels), Coupling(channels)
        self.below = nn.ModuleList(Coupling(2 * channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        skip, deep = pixel_unshuffle(self.before(x), 2).chunk(2, dim=1)
        for coupling in self.below:
            deep = coupling(deep)
        return self.after(pixel_shuffle(torch.cat([deep, skip], dim=1), 2))

    def inverse(self, y: Tensor) -> Tensor:
        deep, skip = pixel_unshuffle(self.after.inverse(y), 2).chunk(2, dim=1)
        for coupling in reversed(self.below):
            deep = coupling.inverse(deep)
        return self.before.inverse(pixel_shuffle(torch.cat([skip, deep], dim=1), 2))


class PairOfUNets(nn.Module):  # type: ignore[misc]
    """An ordinary U-Net of two levels for each direction."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.there, self.back = UNet(channels), UNet(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.there(x)

    def inverse(self, y: Tensor) -> Tensor:
        return self.back(y)


class UNet(nn.Module):  # type: ignore[misc]
    """Two levels, (b, c, i, j) to itself, i and j even."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1)
        self.below = _residual(2 * channels)
        self.up = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.after = _residual(channels)

    def forward(self, x: Tensor) -> Tensor:
        deep = self.down(x)
        x = x + interpolate(self.up(deep + self.below(deep)), scale_factor=2)
        return x + self.after(x)


class TwoWay(nn.Module):  # type: ignore[misc]
    """Permeability (b, n, n) to pressure (b, n, n) and back, in the units of a Darcy problem."""

    def __init__(self, darcy: Darcy, kind: Kind, channels: int = 16) -> None:
        super().__init__()
        self.darcy = darcy
        self.encode_a, self.encode_u = _encoder(channels), _encoder(channels)
        self.decode_a, self.decode_u = _decoder(channels), _decoder(channels)
        self.between = InvertibleUNet(channels) if kind == "xnet" else PairOfUNets(channels)

    def forward(self, permeability: Tensor) -> Tensor:
        half = (self.darcy.high - self.darcy.low) / 2
        latent = self.between(self.encode_a(_padded((permeability - self.darcy.mean) / half)))
        return self.darcy.pressure_scale * self._cropped(self.decode_u(latent))

    def inverse(self, pressure: Tensor) -> Tensor:
        """The mean of the two permeabilities by their probabilities (b, n, n)."""
        share = torch.sigmoid(self.logit(pressure))
        return self.darcy.low + (self.darcy.high - self.darcy.low) * share

    def logit(self, pressure: Tensor) -> Tensor:
        """Log odds of the high permeability (b, n, n)."""
        latent = self.encode_u(_padded(pressure / self.darcy.pressure_scale))
        return self._cropped(self.decode_a(self.between.inverse(latent)))

    def _cropped(self, grid: Tensor) -> Tensor:
        return grid[:, 0, : self.darcy.cells, : self.darcy.cells]


def cycle_errors(network: TwoWay, permeability: Tensor, pressure: Tensor) -> tuple[float, float]:
    """Relative L2 of inverse(forward(a)) against a, and of forward(inverse(u)) against u, over a batch (b, n, n)."""
    with torch.no_grad():
        pairs = (
            (network.inverse(network(permeability)), permeability),
            (network(network.inverse(pressure)), pressure),
        )
    a, u = (float((found - truth).norm() / truth.norm()) for found, truth in pairs)
    return a, u


def _residual(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.SiLU(), nn.Conv2d(2 * channels, channels, 3, padding=1)
    )


def _encoder(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, channels, 4, stride=2, padding=1), nn.SiLU(), nn.Conv2d(channels, channels, 1))


def _decoder(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU(),
        nn.Conv2d(channels, 1, 3, padding=1),
    )  # fmt: skip


def _padded(grid: Tensor) -> Tensor:
    """(b, n, n) -> (b, 1, m, m) with m a multiple of four."""
    more = -grid.shape[-1] % 4
    return pad(grid[:, None], (0, more, 0, more), mode="replicate")
