"""A small convolutional network for volumes or planes, with a perceptron for tabulated features beside it.

Group normalisation, since batches are small and mix labelled with unlabelled scans; average and maximum
pooling, since severity may lie in one narrow place. The output of the two branches is concatenated before the
head.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from voxfield.grading.networks import head


class GradeNet(nn.Module):  # type: ignore[misc]
    """Images, features or both to log-probabilities of grades.

    dims      2 or 3, or 0 without images
    channels  of the stages; each halves the resolution
    features  number of tabulated inputs, 0 for none
    hidden    width of the feature branch
    grades    number of ordered grades
    head      see `heads`
    groups    of the normalisation; must divide every entry of `channels`
    """

    def __init__(
        self,
        *,
        dims: int,
        channels: Sequence[int],
        features: int,
        hidden: int,
        grades: int,
        head_name: str = "softmax",
        groups: int = 4,
    ) -> None:
        super().__init__()
        self.trunk = _trunk(dims, channels, groups) if dims else None
        self.branch = _branch(features, hidden) if features and hidden else None
        self.width = (2 * channels[-1] if dims else 0) + (features + hidden if features else 0)
        self.head = head(head_name, self.width, grades)

    def embed(self, image: Tensor | None, features: Tensor | None) -> Tensor:
        """What the head sees: (n, width) from images (n, 1, x, y[, z]) and features (n, f)."""
        parts: list[Tensor] = []
        if self.trunk is not None and image is not None:
            maps = self.trunk(image).flatten(2)
            parts += [maps.mean(2), maps.amax(2)]
        if features is not None:
            parts.append(features)
            if self.branch is not None:
                parts.append(self.branch(features))
        return torch.cat(parts, dim=1)

    def forward(self, image: Tensor | None, features: Tensor | None) -> Tensor:
        """Log-probabilities (n, grades)."""
        return self.head(self.embed(image, features))


def _trunk(dims: int, channels: Sequence[int], groups: int) -> Any:
    convolution: Any = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
    layers: list[Any] = []
    width = 1
    for stage, wide in enumerate(channels):
        # The first stage sees one channel only: a larger window costs nothing there.
        size = 5 if stage == 0 and dims == 2 else 3
        layers += [
            convolution(width, wide, size, stride=2, padding=size // 2, bias=False),
            nn.GroupNorm(groups, wide),
            nn.SiLU(),
        ]
        if stage > 0:
            layers += [
                convolution(wide, wide, 3, padding=1, bias=False),
                nn.GroupNorm(groups, wide),
                nn.SiLU(),
            ]
        width = wide
    return nn.Sequential(*layers)


def _branch(features: int, hidden: int) -> Any:
    return nn.Sequential(nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
