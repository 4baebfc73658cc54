"""A residual network for planes and volumes, cheap enough to be trained on one CPU core.

Pre-activated blocks after He et al. 2016 ("Identity Mappings in Deep Residual Networks", ECCV), y = s(x) + F(x) with F
twice normalisation, activation, convolution, and both once more behind the last block. Different here: group instead of
batch normalisation, since batches mix labelled with unlabelled scans; where the resolution halves, s averages before it
projects, so that no cell is skipped; the first stage lies at half the resolution already, where a convolution costs a
quarter.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Unpack

from annotated_types import Ge
from torch import Tensor, nn

from voxfield.grading.networks.base import Beside, GradeNetwork, MeanMax, convolution, normalisation


class ResidualNet(GradeNetwork):
    """Stages of residual blocks.

    dims      2 or 3, or 0 without images
    channels  of the stages; each halves the resolution
    depth     blocks of a stage
    groups    of the normalisation; must divide every entry of `channels`
    beside    see `GradeNetwork`
    """

    def __init__(
        self,
        *,
        dims: int,
        channels: Sequence[int],
        depth: Annotated[int, Ge(1)] = 1,
        groups: Annotated[int, Ge(1)] = 4,
        **beside: Unpack[Beside],
    ) -> None:
        super().__init__(
            _trunk(dims, channels, depth, groups) if dims else None,
            MeanMax(),
            pooled=2 * channels[-1],
            stride=2 ** len(channels),
            **beside,
        )


class Block(nn.Module):  # type: ignore[misc]
    """A residual block; `step` 2 halves the resolution."""

    def __init__(self, dims: int, width: int, wide: int, step: int, groups: int) -> None:
        super().__init__()
        layer = convolution(dims)
        self.shortcut = _shortcut(dims, width, wide, step)
        self.inner = nn.Sequential(
            normalisation(groups, width),
            nn.SiLU(),
            layer(width, wide, 3, stride=step, padding=1, bias=False),
            normalisation(groups, wide),
            nn.SiLU(),
            layer(wide, wide, 3, padding=1, bias=False),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(n, width, x, y[, z]) to (n, wide, x', y'[, z'])."""
        total: Tensor = self.shortcut(maps) + self.inner(maps)
        return total


def _shortcut(dims: int, width: int, wide: int, step: int) -> Any:
    parts: list[Any] = []
    if step > 1:
        pooling: Any = {2: nn.AvgPool2d, 3: nn.AvgPool3d}[dims]
        # As many cells as the convolution gives: a last odd cell is kept, and averaged over itself alone.
        parts.append(pooling(step, ceil_mode=True, count_include_pad=False))
    if width != wide:
        parts.append(convolution(dims)(width, wide, 1, bias=False))
    return nn.Sequential(*parts)


def _trunk(dims: int, channels: Sequence[int], depth: int, groups: int) -> Any:
    size = 5 if dims == 2 else 3  # the stem sees one channel only: a larger window costs little there
    blocks: list[Any] = [convolution(dims)(1, channels[0], size, stride=2, padding=size // 2, bias=False)]
    width = channels[0]
    for stage, wide in enumerate(channels):
        for place in range(depth):
            blocks.append(Block(dims, width, wide, 2 if stage > 0 and place == 0 else 1, groups))
            width = wide
    return nn.Sequential(*blocks, normalisation(groups, width), nn.SiLU())
