"""Graph convolutions whose nodes are the voxels of a feature map.

    x_i' = sigma( W_0 x_i + W_1 mean_{j in N(i)} x_j + b )

with N(i) the voxels around i that lie inside the map ("regular"), or the k voxels whose features are nearest to those
of i ("dynamic", found anew in every pass). Which neighbourhood and formula Juarez et al. used is not public to the
letter; the mean keeps the scale of the features whatever the number of neighbours.
"""

from typing import Literal

import torch
from torch import Tensor, nn

Adjacency = Literal["regular", "dynamic"]
_ROWS = 2048  # nodes whose distances to all others are held at once


def regular_mean(x: Tensor) -> Tensor:
    """Mean over the neighbours of every voxel in the box of 3 voxels, itself left out; (b, c, ...) -> the same."""
    others = _box_sum(x) - x
    inside = _box_sum(torch.ones_like(x[:1, :1])) - 1
    return others / inside.clamp_min(1)


def _box_sum(x: Tensor) -> Tensor:
    """Sum over the box of 3 voxels along every axis, one axis after the other; nothing lies outside."""
    for axis in range(2, x.dim()):
        n = x.shape[axis]
        room = torch.zeros_like(x.narrow(axis, 0, 1))
        wide = torch.cat([room, x, room], dim=axis)
        x = wide.narrow(axis, 0, n) + wide.narrow(axis, 1, n) + wide.narrow(axis, 2, n)
    return x


def dynamic_mean(x: Tensor, k: int) -> Tensor:
    """Mean over the k voxels of the same map that are nearest in feature space, itself left out."""
    nodes = x.flatten(2).transpose(1, 2)
    k = min(k, nodes.shape[1] - 1)
    if k < 1:
        return torch.zeros_like(x)
    means = []
    for cloud in nodes:
        nearest = torch.cat([_nearest(cloud, first, k) for first in range(0, len(cloud), _ROWS)])
        means.append(cloud[nearest].mean(dim=1))
    return torch.stack(means).transpose(1, 2).reshape(x.shape)


def _nearest(cloud: Tensor, first: int, k: int) -> Tensor:
    """Indices (rows, k) of the nearest nodes of rows `first`, ... of a cloud (n, c)."""
    cloud = cloud.detach().float()
    rows = cloud[first : first + _ROWS]
    distance = torch.cdist(rows, cloud)
    own = torch.arange(len(rows), device=cloud.device)
    distance[own, own + first] = torch.inf
    return distance.topk(k, largest=False).indices


class GraphConvolution(nn.Module):  # type: ignore[misc]
    """One layer; instance normalisation and a leaky rectifier are its sigma."""

    def __init__(self, dims: int, in_channels: int, out_channels: int, adjacency: Adjacency, k: int) -> None:
        super().__init__()
        convolution, norm = (nn.Conv2d, nn.InstanceNorm2d) if dims == 2 else (nn.Conv3d, nn.InstanceNorm3d)
        self.own = convolution(in_channels, out_channels, 1)
        self.others = convolution(in_channels, out_channels, 1, bias=False)
        self.norm = norm(out_channels, affine=True)
        self.adjacency, self.k = adjacency, k

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, ...) -> (b, out, ...)."""
        mean = regular_mean(x) if self.adjacency == "regular" else dynamic_mean(x, self.k)
        return torch.nn.functional.leaky_relu(self.norm(self.own(x) + self.others(mean)), 0.1)
