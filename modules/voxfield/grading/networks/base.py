"""What the networks of the family share: a trunk over the image, pooling, tabulated features beside it, a head."""

from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from voxfield.errors import SettingsError
from voxfield.grading.networks import head


class Beside(TypedDict):
    """What every network takes beside the arguments of the part that sees the image; see `GradeNetwork`."""

    features: int
    hidden: int
    grades: int
    head_name: NotRequired[str]


class GradeNetwork(nn.Module):  # type: ignore[misc]
    """Images, features or both to log-probabilities of grades; the parts are concatenated before the head.

    trunk      module from images (n, 1, x, y[, z]) to maps (n, c, x', y'[, z']), or None without images
    pool       module from those maps to (n, p)
    pooled     entries of the embedding that come from the image
    stride     cells of the image for each cell of the maps; a shift of the image by as many shifts the maps by one
    features   number of tabulated inputs, 0 for none
    hidden     width of the perceptron beside the straight line from features to the head, 0 for none
    grades     their number
    head_name  see `networks.HEADS`
    """

    def __init__(
        self,
        trunk: Any,
        pool: Any,
        *,
        pooled: int,
        stride: int,
        features: int,
        hidden: int,
        grades: int,
        head_name: str = "softmax",
    ) -> None:
        super().__init__()
        self.trunk, self.pool, self.stride = trunk, pool, stride
        self.branch = _branch(features, hidden) if features and hidden else None
        self.width = (pooled if trunk is not None else 0) + (features + hidden if features else 0)
        self.head = head(head_name, self.width, grades)

    def look(self, image: Tensor) -> Tensor:
        """What the head sees of images (n, 1, x, y[, z]): (n, pooled)."""
        pooled: Tensor = self.pool(self.trunk(image))
        return pooled

    def embed(self, image: Tensor | None, features: Tensor | None) -> Tensor:
        """What the head sees: (n, width) from images (n, 1, x, y[, z]) and features (n, f)."""
        parts: list[Tensor] = []
        if self.trunk is not None and image is not None:
            parts.append(self.look(image))
        if features is not None:
            parts.append(features)
            if self.branch is not None:
                parts.append(self.branch(features))
        return torch.cat(parts, dim=1)

    def forward(self, image: Tensor | None, features: Tensor | None) -> Tensor:
        """Log-probabilities (n, grades)."""
        return self.head(self.embed(image, features))


class MeanMax(nn.Module):  # type: ignore[misc]
    """Average and maximum of each map: severity may lie everywhere, or in one narrow place."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, c, x', y'[, z']) to (n, 2 c)."""
        flat = maps.flatten(2)
        return torch.cat([flat.mean(2), flat.amax(2)], dim=1)


def convolution(dims: int) -> Any:
    """The convolution of planes or volumes."""
    return {2: nn.Conv2d, 3: nn.Conv3d}[dims]


def normalisation(groups: int, width: int) -> Any:
    """Group normalisation of maps with so many channels."""
    if width % groups:
        raise SettingsError(f"groups is {groups} and a stage has {width} channels; groups must divide all channels")
    return nn.GroupNorm(groups, width)


def _branch(features: int, hidden: int) -> Any:
    return nn.Sequential(nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
