"""A 2D network on images that are volumes of one slice."""

from torch import Tensor, nn


class Flat(nn.Module):  # type: ignore[misc]
    """(b, c, x, y, 1) -> (b, c', x, y, 1) by a network of (b, c, x, y)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The network's output with the axis of one slice put back."""
        result: Tensor = self.network(images.squeeze(-1)).unsqueeze(-1)
        return result
