"""A network whose rows several processes go through together, for algorithms that know nothing of it."""

from typing import Any

from torch import Tensor

from voxfield.processes import count
from voxfield.sharing import shared


class SharedNetwork:
    """What sees the rows is shared, `embed` and `trunk`; the rest, such as the head, all processes compute alike."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def embed(self, image: Tensor | None, features: Tensor | None) -> Tensor:
        """What the head sees: (n, width)."""
        return shared(self._network.embed, image, features)

    def trunk(self, image: Tensor) -> Tensor:
        """Maps (n, c, x', y'[, z'])."""
        return shared(self._network.trunk, image)

    def __call__(self, image: Tensor | None, features: Tensor | None) -> Tensor:
        """Log-probabilities (n, grades)."""
        found: Tensor = self._network.head(self.embed(image, features))
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


def together(network: Any) -> Any:
    """The network, shared if there are several processes; what is none stays as it is."""
    return SharedNetwork(network) if count() > 1 and hasattr(network, "embed") else network
