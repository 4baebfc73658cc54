"""The 3D U-Net that nnU-Net trains (Isensee et al., Nat. Methods 2021), as MONAI writes it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxfield.errors import InputError
from voxfield.segmentation.networks._arguments import integer, integers, only

if TYPE_CHECKING:
    import torch


def multiple(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """Every level but the first halves the resolution."""
    side = 2 ** (len(integers(arguments, "channels", 1, 1024)) - 1)
    return side, side, side


def build(arguments: Mapping[str, Any]) -> "torch.nn.Module":
    """Make the network.

    arguments  in_channels, classes, channels (one per level, at least three)
    """
    from monai.networks.nets import DynUNet

    only(arguments, ("in_channels", "classes", "channels"))
    channels = integers(arguments, "channels", 1, 1024)
    if len(channels) < 3:
        raise InputError(f"architecture dynunet has {len(channels)} levels (channels {channels}); expected 3 or more")
    strides = [1] + [2] * (len(channels) - 1)
    network: torch.nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=integer(arguments, "in_channels", 1, 64),
        out_channels=integer(arguments, "classes", 2, 254),
        kernel_size=[3] * len(channels),
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=channels,
    )
    return network
