"""ConnNet: a connectivity cube at every level of the decoder, with offsets near and far, in 2D and 3D.

Kampffmeyer et al., "ConnNet: A Long-Range Relation-Aware Pixel-Connectivity Network for Salient Segmentation", IEEE TIP
2019 (arXiv 1804.07836): each pixel tells whether it is connected to its neighbours, next to it and some way off, and
what a coarse level says is handed on to the next finer one. The mask is decoded from the offsets of one voxel at the
finest level (`_cube`); all offsets and levels are supervised, a level with half the weight of the next finer one.

Different from the paper: a U-Net in place of the pre-trained classifier with its non-local block, since no weights
ship; far offsets, `reach` voxels long, take the role of its long-range relations.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from voxfield.segmentation.losses._truth import Truth
from voxfield.segmentation.networks import _cube
from voxfield.segmentation.networks._arguments import dims_of, integer, integers, only
from voxfield.segmentation.networks._backbone import Backbone, doubled, halved, multiple, pointwise

__all__ = ["ConnNet", "build", "multiple"]


class ConnNet(nn.Module):  # type: ignore[misc]
    """(b, in_channels, x, y, z) -> (b, classes, x, y, z)."""

    def __init__(self, dims: int, in_channels: int, classes: int, channels: list[int], reach: int) -> None:
        super().__init__()
        self.dims, self.classes = dims, classes
        self.near, self.far = _cube.neighbours(dims), _cube.neighbours(dims, reach)
        self.backbone = Backbone(dims, in_channels, channels)
        cube = (len(self.near) + len(self.far)) * (classes - 1)
        coarser = [cube] * (len(channels) - 1) + [0]
        self.heads = nn.ModuleList(pointwise(c + below, cube) for c, below in zip(channels, coarser, strict=True))

    def outputs(self, images: Tensor) -> list[Tensor]:
        """Logits of the cubes of every level, finest first: near channels, then far ones."""
        cubes: list[Tensor] = []
        for features, head in zip(reversed(self.backbone(images)), reversed(self.heads), strict=True):
            known = [features, doubled(cubes[-1], features)] if cubes else [features]
            cubes.append(head(torch.cat(known, dim=1)))
        return cubes[::-1]

    def own_loss(self, outputs: list[Tensor], truth: Truth) -> Tensor:
        """Weighted sum over levels of the losses of near and far channels."""
        total = truth.weight.new_zeros(())
        for level, cube in enumerate(outputs):
            near, far = self._parts(cube)
            both = _cube.loss(near, truth, self.near) + _cube.loss(far, truth, self.far)
            total = total + 0.5 ** (level + 1) * both
            truth = Truth(halved(truth.target, self.dims), halved(truth.weight, self.dims), truth.spacing_mm)
        return total

    def decode(self, outputs: list[Tensor]) -> Tensor:
        """Class logits by mutual agreement of the finest near channels."""
        return _cube.decode(self._parts(outputs[0])[0], self.near, self.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class logits."""
        return self.decode(self.outputs(images))

    def _parts(self, cube: Tensor) -> tuple[Tensor, Tensor]:
        near = len(self.near) * (self.classes - 1)
        return cube[:, :near], cube[:, near:]


def build(arguments: Mapping[str, Any]) -> nn.Module:
    """Make the network.

    arguments  in_channels, classes, channels (one per level, at least two), dims (3, the default, or 2), reach (voxels
               of the far offsets; 4 by default)
    """
    only(arguments, ("in_channels", "classes", "channels", "dims", "reach"))
    return ConnNet(
        dims_of(arguments),
        integer(arguments, "in_channels", 1, 64),
        integer(arguments, "classes", 2, 254),
        integers(arguments, "channels", 1, 1024),
        integer({"reach": 4, **arguments}, "reach", 2, 64),
    )
