"""An autoencoder of occupancy volumes with a few latent numbers."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class ShapeAutoencoder(nn.Module):  # type: ignore[misc]
    """(b, 1, s, s, s) occupancies -> (b, k) latent points, and back to logits.

    side      s, cells along each side; a multiple of 8
    latent    k
    channels  features after each halving
    """

    def __init__(self, side: int, latent: int, channels: tuple[int, int, int] = (8, 16, 32)) -> None:
        super().__init__()
        self.small = side // 2 ** len(channels)
        cells = channels[-1] * self.small**3
        down: list[nn.Module] = []
        for before, after in pairwise((1, *channels)):
            down += [nn.Conv3d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.1)]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(cells, latent))
        self.widen = nn.Sequential(nn.Linear(latent, cells), nn.LeakyReLU(0.1))
        up: list[nn.Module] = []
        for before, after in pairwise((*reversed(channels), 1)):
            up += [nn.LeakyReLU(0.1), nn.ConvTranspose3d(before, after, 2, stride=2)]
        self.decoder = nn.Sequential(*up[1:])
        self.log_scale = nn.Parameter(torch.zeros(()))

    def encode(self, shapes: Tensor) -> Tensor:
        """Latent points (b, k)."""
        points: Tensor = self.encoder(shapes)
        return points

    def decode(self, points: Tensor) -> Tensor:
        """Logits of the occupancies (b, 1, s, s, s)."""
        grid = self.widen(points).unflatten(1, (-1, self.small, self.small, self.small))
        logits: Tensor = self.decoder(grid)
        return logits
