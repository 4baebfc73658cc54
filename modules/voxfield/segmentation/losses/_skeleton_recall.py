"""Skeleton recall of Kirchhoff et al., ECCV 2024 (arXiv 2404.03010): how much of the true skeleton is told.

With s the widened skeleton of class c (`_tube`, made once per scan) and voxel weights w,

    loss = 1 - mean_c (sum w p_c s_c + 1) / (sum w s_c + 1),

the paper's loss plus 1, so that a perfect prediction costs nothing. Sums run over the batch. Only the voxels of the
tube are read, which makes the term all but free. Works in voxel space: the tube is as wide on every grid.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from voxfield.segmentation.losses._classes import on_tube
from voxfield.segmentation.losses._truth import Truth


@dataclass(frozen=True)
class SkeletonRecall:
    """One minus the recall of the widened skeleton."""

    needs_tube: ClassVar[bool] = True

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        """Value, ().

        logits  (b, c, x, y, z), class 0 is background
        """
        inside, label, told = on_tube(logits, truth)
        weight = truth.weight[inside].to(told.dtype)
        sums = torch.zeros(2, logits.shape[1], dtype=told.dtype, device=told.device)
        hit, all_of_it = sums.index_add(1, label, torch.stack([told * weight, weight]))
        return 1 - ((hit + 1) / (all_of_it + 1))[1:].mean()
