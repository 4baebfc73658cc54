"""A small convolutional network for volumes or planes.

Group normalisation, since batches are small and mix labelled with unlabelled scans.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Unpack

from annotated_types import Ge
from torch import nn

from voxfield.grading.networks.base import Beside, GradeNetwork, MeanMax, convolution, normalisation


class GradeNet(GradeNetwork):
    """Two convolutions a stage, one in the first.

    dims      2 or 3, or 0 without images
    channels  of the stages; each halves the resolution
    groups    of the normalisation; must divide every entry of `channels`
    beside    see `GradeNetwork`
    """

    def __init__(
        self,
        *,
        dims: int,
        channels: Sequence[int],
        groups: Annotated[int, Ge(1)] = 4,
        **beside: Unpack[Beside],
    ) -> None:
        super().__init__(
            _trunk(dims, channels, groups) if dims else None,
            MeanMax(),
            pooled=2 * channels[-1],
            stride=2 ** len(channels),
            **beside,
        )


def _trunk(dims: int, channels: Sequence[int], groups: int) -> Any:
    layer = convolution(dims)
    layers: list[Any] = []
    width = 1
    for stage, wide in enumerate(channels):
        # The first stage sees one channel only: a larger window costs nothing there.
        size = 5 if stage == 0 and dims == 2 else 3
        layers += [
            layer(width, wide, size, stride=2, padding=size // 2, bias=False),
            normalisation(groups, wide),
            nn.SiLU(),
        ]
        if stage > 0:
            layers += [
                layer(wide, wide, 3, padding=1, bias=False),
                normalisation(groups, wide),
                nn.SiLU(),
            ]
        width = wide
    return nn.Sequential(*layers)
