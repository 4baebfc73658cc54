"""A U-Net that hands out its decoder's features level by level, and lets its deepest level be replaced.

Blocks are MONAI's (two convolutions with instance normalisation, max pooling, transposed convolution). The first
level has the image's own resolution.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import Tensor, nn

from voxfield.segmentation.networks._arguments import integers, sides

_ACT: tuple[str, dict[str, Any]] = ("LeakyReLU", {"negative_slope": 0.1, "inplace": True})
_NORM: tuple[str, dict[str, Any]] = ("instance", {"affine": True})
_COMMON: dict[str, Any] = {"act": _ACT, "norm": _NORM, "bias": False}


class Backbone(nn.Module):  # type: ignore[misc]
    """U-Net without a head.

    dims      2 works on (b, c, x, y, 1), slice by slice; 3 on (b, c, x, y, z)
    channels  features of each level, finest first
    deepest   (b, channels[-2], ...) -> (b, channels[-1], ...) after pooling; None takes two convolutions
    """

    def __init__(self, dims: int, in_channels: int, channels: Sequence[int], deepest: nn.Module | None = None) -> None:
        super().__init__()
        self.dims = dims
        self.stem = TwoConv(dims, in_channels, channels[0], **_COMMON)
        pairs = list(pairwise(channels))
        downs: list[nn.Module] = [Down(dims, fine, coarse, **_COMMON) for fine, coarse in pairs]
        if deepest is not None:
            downs[-1] = nn.Sequential(nn.MaxPool2d(2) if dims == 2 else nn.MaxPool3d(2), deepest)
        self.downs = nn.ModuleList(downs)
        self.ups = nn.ModuleList(
            UpCat(dims, coarse, fine, fine, halves=False, upsample="deconv", **_COMMON) for fine, coarse in pairs
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of every level of the decoder, finest first: (b, channels[i], x / 2^i, ...)."""
        x = images.squeeze(-1) if self.dims == 2 else images
        skips = [self.stem(x)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        levels = [skips.pop()]
        for up, skip in zip(reversed(self.ups), reversed(skips), strict=True):
            levels.append(up(levels[-1], skip))
        levels.reverse()
        return [level.unsqueeze(-1) for level in levels] if self.dims == 2 else levels


def pointwise(in_channels: int, out_channels: int) -> nn.Conv3d:
    """A 1 x 1 x 1 convolution."""
    return nn.Conv3d(in_channels, out_channels, 1)


def multiple(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """Every level but the first halves the resolution."""
    return sides(arguments, 2 ** (len(integers(arguments, "channels", 1, 1024)) - 1))


def halved(volume: Tensor, dims: int) -> Tensor:
    """Every second voxel of (b, x, y, z), so that labels stay labels."""
    return volume[:, ::2, ::2] if dims == 2 else volume[:, ::2, ::2, ::2]


def doubled(features: Tensor, like: Tensor) -> Tensor:
    """Features (b, c, ...) brought to the resolution of `like` by repetition."""
    return torch.nn.functional.interpolate(features, size=like.shape[-3:], mode="nearest")
