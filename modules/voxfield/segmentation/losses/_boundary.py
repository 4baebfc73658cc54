"""Boundary loss of Kervadec et al., MIDL 2019 (arXiv 1812.07032): what is told wrong, by its distance to the boundary.

With phi_c the signed distance to the annotated boundary of class c (negative inside, mm) and voxel weights w,

    loss = mean_c sum w phi_c (p_c - m_c) / sum w   (mm),

the paper's integral of phi_c p_c up to a constant, chosen so that a perfect prediction costs nothing. Different from
the paper: distances run from voxel centre to voxel centre in mm, whatever the spacing; they are held below `most_mm`,
so that one far blob does not outweigh a tree, and a class that a patch does not show has a distance at all. Between
annotated and unannotated voxels there is no boundary.
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
class Boundary:
    """Mean distance to the boundary of what is told wrong, mm.

    most_mm  largest distance that counts
    """

    needs_tube: ClassVar[bool] = False
    most_mm: float = 10.0

    def __post_init__(self) -> None:
        if not self.most_mm > 0:
            raise SettingsError(f"regularizer 'boundary': most_mm is {self.most_mm:g}; expected a length above 0 mm")

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        """Value, (), mm; 0 for a perfect prediction.

        logits  (b, c, x, y, z), class 0 is background
        """
        probability, member = foreground(logits, truth)
        distance = distances_mm(member, truth.weight > 0, truth.spacing_mm, self.most_mm)
        signed = torch.where(member, -distance, distance) * truth.weight.unsqueeze(1)
        total = truth.weight.sum() * probability.shape[1]
        return (signed * (probability - member.to(probability.dtype))).sum() / torch.where(total > 0, total, 1)
