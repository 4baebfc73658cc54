"""Connectivity cubes: whether a voxel and its neighbour belong to the same structure.

For a foreground class with mask m (0 outside the volume), an offset d and one channel per offset

    C_d(p) = m(p) m(p + d)                                             label
    z(p)   = max_d min(z_d(p), z_-d(p + d))                            decoding

where z_d are the network's logits. That is the mutual agreement of AirwayNet (Qin et al., MICCAI 2019, arXiv
1907.06852): a voxel is foreground if, for at least one neighbour, both say that they are connected. Different from it:
minimum and maximum instead of thresholds, so that the result is a probability which, cut at 1/2, is the vote on the
thresholded channels exactly, and through which regularizers have a gradient. A voxel without neighbours in its class
has no positive channel and can not be told.

The loss is cross entropy plus Dice over the channels; AirwayNet has Dice alone, ConnNet (Kampffmeyer et al., IEEE TIP
2019, arXiv 1804.07836) cross entropy alone. A channel counts where both of its voxels were annotated.

Layout: channel k of n belongs to offset k % len(offsets) of foreground class 1 + k // len(offsets). Offsets are ordered
so that number i is the opposite of number -1 - i.
"""

from itertools import product

import torch
from torch import Tensor

from voxfield.segmentation.losses._shifts import views
from voxfield.segmentation.losses._truth import Truth

Offset = tuple[int, int, int]
_NEVER = -30.0  # logit of an agreement with a voxel outside the patch


def neighbours(dims: int, step: int = 1) -> list[Offset]:
    """The 26 offsets in 3D, the 8 in the x-y plane in 2D, `step` voxels long along each axis."""
    deep = (0,) if dims == 2 else (-1, 0, 1)
    found = [(i * step, j * step, k * step) for i, j, k in product((-1, 0, 1), (-1, 0, 1), deep)]
    return [offset for offset in found if offset != (0, 0, 0)]


def ahead(values: Tensor, offset: Offset, outside: float = 0.0) -> Tensor:
    """`values` (..., x, y, z) at p + offset, for every p; `outside` beyond the patch."""
    result = torch.full_like(values, outside)
    here, there = views(offset)
    result[here] = values[there]
    return result


def label(mask: Tensor, offsets: list[Offset]) -> Tensor:
    """The cube (..., offset, x, y, z) of a mask (..., x, y, z) of 0 and 1."""
    return torch.stack([mask * ahead(mask, offset) for offset in offsets], dim=-4)


def decode(cube: Tensor, offsets: list[Offset], classes: int) -> Tensor:
    """Class logits (b, classes, x, y, z) from the logits of a cube of unit offsets, (b, n, x, y, z)."""
    per_class = cube.unflatten(1, (classes - 1, len(offsets)))
    best = torch.full_like(per_class[:, :, 0], _NEVER)
    for i, offset in enumerate(offsets[: len(offsets) // 2]):
        back: Offset = (-offset[0], -offset[1], -offset[2])
        agreed = torch.minimum(per_class[:, :, i], ahead(per_class[:, :, -1 - i], offset, _NEVER))
        # Both ends of a pair hear of its agreement.
        best = torch.maximum(best, torch.maximum(agreed, ahead(agreed, back, _NEVER)))
    return torch.cat([torch.zeros_like(best[:, :1]), best], dim=1)


def loss(cube: Tensor, truth: Truth, offsets: list[Offset]) -> Tensor:
    """Cross entropy plus Dice of a cube, ().

    cube  (b, (classes - 1) * offsets, x, y, z) logits
    """
    logits = cube.float().unflatten(1, (-1, len(offsets)))
    kinds = torch.arange(1, logits.shape[1] + 1, device=cube.device).view(1, -1, 1, 1, 1)
    target = label((truth.target.unsqueeze(1) == kinds).float(), offsets)
    weight = label(truth.weight, offsets).unsqueeze(1)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")
    seen = weight.sum() * logits.shape[1]
    probability = logits.sigmoid() * weight
    voxels = (0, 3, 4, 5)
    overlap = (probability * target).sum(voxels)
    dice = (2 * overlap + 1) / (probability.sum(voxels) + (target * weight).sum(voxels) + 1)
    return entropy / torch.where(seen > 0, seen, 1.0) + 1 - dice.mean()
