"""Masked volumes, masked where it is hard.

A patch is cut into cells; the cells of a random share are hidden, and the network is to tell their voxels (He et al.,
"Masked Autoencoders", CVPR 2022, arXiv 2111.06377). Which cells are hidden follows Wang et al., "Hard Patches Mining
for Masked Image Modeling", CVPR 2023 (arXiv 2304.05919): a teacher, the moving average of the student, foresees the
loss s_i of every cell; of the hidden cells, a share that grows from 0 to `HARDEST` in the course of the training is the
one with the largest s_i, the others are drawn at random. The student learns to foresee which of two hidden cells has
the larger loss L,

    L_foresee = mean_{i, j hidden} softplus( - sign(L_i - L_j) (s_i - s_j) )

Different from the paper: a convolutional network, so that hidden cells hold zeros and not tokens, in 3D.
"""

import torch
from torch import Tensor

HARDEST = 0.5


def cells(values: Tensor, cell: int) -> Tensor:
    """Mean of (b, x, y, z) in each cell, (b, n); an axis shorter than a cell is one cell long."""
    sides = [min(cell, n) for n in values.shape[1:]]
    return torch.nn.functional.avg_pool3d(values[:, None], sides).flatten(1)


def spread(per_cell: Tensor, shape: torch.Size, cell: int) -> Tensor:
    """The value of its cell for every voxel, (b, n) -> (b, x, y, z)."""
    sides = [min(cell, n) for n in shape[1:]]
    grid = per_cell.unflatten(1, [n // side for n, side in zip(shape[1:], sides, strict=True)])
    for axis, side in enumerate(sides, start=1):
        grid = grid.repeat_interleave(side, dim=axis)
    return grid


def hide(foreseen: Tensor, share: float, progress: float, generator: torch.Generator) -> Tensor:
    """Which cells are hidden, (b, n) bool.

    foreseen  (b, n) loss of every cell as the teacher foresees it
    share     of the cells that are hidden
    progress  of the training, from 0 to 1
    """
    count = foreseen.shape[1]
    hidden = max(1, round(share * count))
    hardest = int(HARDEST * progress * hidden)
    order = torch.rand(foreseen.shape, generator=generator).to(foreseen.device)
    if hardest:  # they come before all that chance can bring
        order.scatter_(1, foreseen.topk(hardest, dim=1).indices, 2.0)
    return torch.zeros_like(foreseen, dtype=torch.bool).scatter_(1, order.topk(hidden, dim=1).indices, True)


def told(images: Tensor, reconstructed: Tensor, hidden: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """Mean squared error of the hidden voxels, (), and of every cell, (b, n) without gradient.

    images, reconstructed  (b, x, y, z)
    """
    error = cells((reconstructed - images).square(), cell)
    return error[hidden].mean(), error.detach()


def foresight_loss(foreseen: Tensor, error: Tensor, hidden: Tensor) -> Tensor:
    """How badly the order of the hidden cells' losses is foreseen, ().

    foreseen  (b, n), differentiable
    error     (b, n)
    """
    both = (hidden[:, :, None] & hidden[:, None, :]).float()
    sign = torch.sign(error[:, :, None] - error[:, None, :])
    weight = both * sign.abs()
    wrong = torch.nn.functional.softplus(-sign * (foreseen[:, :, None] - foreseen[:, None, :]))
    return (wrong * weight).sum() / weight.sum().clamp_min(1)
