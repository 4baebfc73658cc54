"""Dice and cross entropy in which every voxel carries a weight.

With class probabilities p_c = softmax(logits)_c, one-hot target t_c and voxel weight w >= 0,

    cross entropy   CE = - sum_x w log p_target / sum_x w
    soft Dice       D_c = (2 sum_x w p_c t_c + s) / (sum_x w p_c + sum_x w t_c + s),   loss = 1 - mean_c D_c

Sources: weighted cross entropy with weight 0 on unlabelled voxels, Cicek et al., MICCAI 2016 (arXiv
1606.06650); soft Dice, Milletari et al., 3DV 2016 (arXiv 1606.04797, with squares in the denominator, which
we leave out as nnU-Net does). Different from both: the weight enters the Dice sums too, so that an
unannotated voxel (w = 0) has exactly zero gradient, and the sums run over the whole batch, which keeps D_c
meaningful when one patch of a batch shows no foreground. Background has no Dice term. `s` is one voxel: a
class that the batch does not show costs little unless it is predicted.
"""

import torch
from torch import Tensor


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of the cross entropy; 0 where nothing has weight.

    logits   (b, c, x, y, z)  float
    target   (b, x, y, z)     int64 class index in [0, c); any valid index where the weight is 0
    weight   (b, x, y, z)     float, >= 0
    returns  ()
    """
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    total = weight.sum()
    return (loss * weight).sum() / torch.where(total > 0, total, 1.0)


def soft_dice(logits: Tensor, target: Tensor, weight: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the weighted soft Dice, averaged over the foreground classes.

    logits   (b, c, x, y, z)  float, c >= 2; class 0 is background
    target   (b, x, y, z)     int64 class index in [0, c)
    weight   (b, x, y, z)     float, >= 0
    smooth   voxels added above and below the fraction
    returns  ()
    """
    weight = weight.unsqueeze(1)
    probability = logits.softmax(dim=1)[:, 1:] * weight
    classes = torch.arange(1, logits.shape[1], device=logits.device).view(1, -1, 1, 1, 1)
    truth = (target.unsqueeze(1) == classes) * weight
    voxels = (0, 2, 3, 4)
    # `probability` is weighted already; one factor of the weight is wanted in the overlap too.
    overlap = torch.where(truth > 0, probability, 0.0).sum(voxels)
    dice = (2 * overlap + smooth) / (probability.sum(voxels) + truth.sum(voxels) + smooth)
    return 1 - dice.mean()


def dice_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Sum of `cross_entropy` and `soft_dice`, computed in float32 whatever the logits' type.

    logits   (b, c, x, y, z)
    target   (b, x, y, z)     int64 class index in [0, c)
    weight   (b, x, y, z)     float, >= 0; 0 for unannotated voxels
    returns  ()
    """
    logits = logits.float()
    return cross_entropy(logits, target, weight) + soft_dice(logits, target, weight)
