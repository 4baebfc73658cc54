"""A U-Net whose deepest level is a graph network.

Garcia-Uceda Juarez, Selvan, Saghir, de Bruijne, "A joint 3D UNet-Graph Neural Network-based method for Airway
Segmentation from chest CTs", MLMI 2019 (arXiv 1908.08588): the two convolutions of the deepest level give way to graph
convolutions over its voxels, (i) on a regular neighbourhood or (ii) on nearest neighbours in feature space, found anew
in every pass. See `_graph` for the layer; the U-Net around it is `_backbone`.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from voxfield.errors import InputError
from voxfield.segmentation.networks._arguments import dims_of, integer, integers, only
from voxfield.segmentation.networks._backbone import Backbone, multiple, pointwise
from voxfield.segmentation.networks._graph import Adjacency, GraphConvolution

__all__ = ["UNetGNN", "build", "multiple"]


class UNetGNN(nn.Module):  # type: ignore[misc]
    """(b, in_channels, x, y, z) -> (b, classes, x, y, z)."""

    def __init__(
        self, dims: int, in_channels: int, classes: int, channels: list[int], adjacency: Adjacency, k: int
    ) -> None:
        super().__init__()
        fine, coarse = channels[-2:]
        graph = nn.Sequential(
            GraphConvolution(dims, fine, coarse, adjacency, k), GraphConvolution(dims, coarse, coarse, adjacency, k)
        )
        self.backbone = Backbone(dims, in_channels, channels, graph)
        self.head = pointwise(channels[0], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class logits."""
        logits: Tensor = self.head(self.backbone(images)[0])
        return logits


def build(arguments: Mapping[str, Any]) -> nn.Module:
    """Make the network.

    arguments  in_channels, classes, channels (one per level, at least two), dims (3, the default, or 2), adjacency
               ("regular", the default, or "dynamic"), neighbours (of "dynamic"; 8 by default)
    """
    only(arguments, ("in_channels", "classes", "channels", "dims", "adjacency", "neighbours"))
    adjacency = arguments.get("adjacency", "regular")
    if adjacency not in ("regular", "dynamic"):
        raise InputError(f"architecture argument adjacency is {adjacency!r}; expected 'regular' or 'dynamic'")
    return UNetGNN(
        dims_of(arguments),
        integer(arguments, "in_channels", 1, 64),
        integer(arguments, "classes", 2, 254),
        integers(arguments, "channels", 1, 1024),
        adjacency,
        integer({"neighbours": 8, **arguments}, "neighbours", 1, 256),
    )
