"""Hausdorff loss by distance transforms: Karimi and Salcudean, IEEE TMI 2020 (arXiv 1904.10030), equation (8).

With d_m and d_p the distances (mm) to the boundary of the annotation and of the thresholded prediction p > 1/2,

    loss = mean_c sum w (p_c - m_c)^2 (d_m^2 + d_p^2) / sum w   (mm^2),

the paper's exponent alpha = 2. The distances have no gradient, as there. Different from the paper: voxel centre to
voxel centre in mm on any spacing, held below `most_mm`, which is also the distance to a boundary that a patch does not
show; unannotated voxels bound nothing and do not count.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from voxfield.errors import SettingsError
from voxfield.segmentation.losses._classes import foreground
from voxfield.segmentation.losses._distance import distances_mm
from voxfield.segmentation.losses._truth import Truth


@dataclass(frozen=True)
class Hausdorff:
    """Squared error, weighted by squared distances to both boundaries, mm^2.

    most_mm  largest distance that counts
    """

    needs_tube: ClassVar[bool] = False
    most_mm: float = 10.0

    def __post_init__(self) -> None:
        if not self.most_mm > 0:
            raise SettingsError(f"regularizer 'hausdorff': most_mm is {self.most_mm:g}; expected a length above 0 mm")

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        """Value, (), mm^2; 0 for a perfect prediction.

        logits  (b, c, x, y, z), class 0 is background
        """
        probability, member = foreground(logits, truth)
        squares = sum(
            distances_mm(mask, truth.weight > 0, truth.spacing_mm, self.most_mm) ** 2
            for mask in (member, probability.detach() > 0.5)
        )
        error = (probability - member.to(probability.dtype)) ** 2
        total = truth.weight.sum() * probability.shape[1]
        return (squares * truth.weight.unsqueeze(1) * error).sum() / torch.where(total > 0, total, 1)
