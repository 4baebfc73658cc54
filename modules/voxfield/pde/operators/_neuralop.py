"""The FNO of the package neuraloperator (Kossaifi et al., arXiv 2412.10354), a peer where it is installed.

pip install neuraloperator; it is no dependency of Voxfield, and imported here only.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le
from neuralop.models import FNO
from torch import Tensor, nn


class NeuralopFNO(nn.Module):  # type: ignore[misc]
    """(b, channels, *grid), places (dims, *grid) -> (b, 1, *grid).

    width   hidden channels
    modes   frequencies kept along each axis, both signs together, as that package counts
    layers  number of Fourier layers
    """

    one_spacing = False

    def __init__(
        self,
        channels: int,
        dims: int,
        *,
        width: Annotated[int, Ge(1), Le(512)] = 24,
        modes: Annotated[int, Ge(1), Le(256)] = 8,
        layers: Annotated[int, Ge(1), Le(16)] = 4,
    ) -> None:
        super().__init__()
        self.peer = FNO(
            n_modes=(modes,) * dims, in_channels=channels + dims, out_channels=1, hidden_channels=width,
            n_layers=layers, positional_embedding=None,
        )  # fmt: skip

    def forward(self, values: Tensor, places: Tensor) -> Tensor:
        """The solution, in the units in which the network was trained."""
        found: Tensor = self.peer(torch.cat([values, places.expand(len(values), *places.shape)], dim=1))
        return found
