"""AirwayNet: segmentation as 26 questions a voxel, one for each neighbour.

Qin et al., "AirwayNet: A Voxel-Connectivity Aware Approach for Accurate Airway Segmentation Using Convolutional
Neural Networks", MICCAI 2019 (arXiv 1907.06852). The last layer sees the features of a U-Net together with what the
patch does not show, the voxel's coordinates and its depth in the lung, and answers whether the voxel is connected to
each of its 26 neighbours; see `_cube` for the decoding by mutual agreement and for the loss. No code was published: the
U-Net, and the hidden layer that joins features and place, are ours.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from voxfield.segmentation.losses._truth import Truth
from voxfield.segmentation.networks import _cube
from voxfield.segmentation.networks._arguments import dims_of, integer, integers, only
from voxfield.segmentation.networks._backbone import Backbone, multiple, pointwise

__all__ = ["AirwayNet", "build", "multiple"]


class AirwayNet(nn.Module):  # type: ignore[misc]
    """(b, 1 + k, x, y, z) -> (b, classes, x, y, z); the channels after the first tell the place."""

    def __init__(self, dims: int, in_channels: int, classes: int, channels: list[int]) -> None:
        super().__init__()
        self.classes, self.offsets = classes, _cube.neighbours(dims)
        self.backbone = Backbone(dims, 1, channels)
        width = channels[0] + in_channels - 1
        self.join = nn.Sequential(pointwise(width, width), nn.LeakyReLU(0.1))
        self.head = pointwise(width, len(self.offsets) * (classes - 1))

    def outputs(self, images: Tensor) -> Tensor:
        """Logits of the connectivity cube."""
        features = self.backbone(images[:, :1])[0]
        cube: Tensor = self.head(self.join(torch.cat([features, images[:, 1:].to(features)], dim=1)))
        return cube

    def own_loss(self, outputs: Tensor, truth: Truth) -> Tensor:
        """Cross entropy plus Dice over the channels of the cube."""
        return _cube.loss(outputs, truth, self.offsets)

    def decode(self, outputs: Tensor) -> Tensor:
        """Class logits by mutual agreement."""
        return _cube.decode(outputs, self.offsets, self.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class logits."""
        return self.decode(self.outputs(images))


def build(arguments: Mapping[str, Any]) -> nn.Module:
    """Make the network.

    arguments  in_channels, classes, channels (one per level, at least two), dims (3, the default, or 2)
    """
    only(arguments, ("in_channels", "classes", "channels", "dims"))
    return AirwayNet(
        dims_of(arguments),
        integer(arguments, "in_channels", 1, 64),
        integer(arguments, "classes", 2, 254),
        integers(arguments, "channels", 1, 1024),
    )
