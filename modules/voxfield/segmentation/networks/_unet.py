"""The 3D U-Net of MONAI (Kerfoot et al., 2018; after Cicek et al., MICCAI 2016) with one full-resolution
level.

The first level has stride 1, so that the last skip connection carries the image's own voxels: a vessel of two
voxels' radius has most of its surface between voxel centres. Plain blocks (`units` 0) learn fastest per CPU
second.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxfield.segmentation.networks._arguments import dims_of, integer, integers, only, sides

if TYPE_CHECKING:
    import torch


def multiple(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """Every level but the first two halves the resolution."""
    return sides(arguments, 2 ** (len(integers(arguments, "channels", 1, 1024)) - 2))


def build(arguments: Mapping[str, Any]) -> "torch.nn.Module":
    """Make the network.

    arguments  in_channels, classes, channels (one per level, at least two), units (convolutions of a
               residual block; 0, the default, for plain blocks), dims (3, the default, or 2)
    """
    from monai.networks.nets import UNet

    from voxfield.segmentation.networks._flat import Flat

    only(arguments, ("in_channels", "classes", "channels", "units", "dims"))
    channels, dims = integers(arguments, "channels", 1, 1024), dims_of(arguments)
    network: torch.nn.Module = UNet(
        spatial_dims=dims,
        in_channels=integer(arguments, "in_channels", 1, 64),
        out_channels=integer(arguments, "classes", 2, 254),
        channels=channels,
        strides=[1] + [2] * (len(channels) - 2),
        num_res_units=integer({"units": 0, **arguments}, "units", 0, 4),
        norm=("INSTANCE", {"affine": True}),
    )
    return Flat(network) if dims == 2 else network
