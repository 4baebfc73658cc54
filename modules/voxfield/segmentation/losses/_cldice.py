"""Soft centerline Dice of Shit et al., CVPR 2021 (arXiv 2003.07311), for each foreground class.

With S_p and S_t the soft skeletons of probability p and annotation t (`_soft_skeleton`) and voxel weights w,

    precision  T_p = (sum w S_p t + 1) / (sum w S_p + 1),   sensitivity  T_s = (sum w S_t p + 1) / (sum w S_t + 1),
    loss = 1 - mean over classes of 2 T_p T_s / (T_p + T_s).

Different from the paper: sums run over the batch, as those of Dice do, and unannotated voxels take no part, in the
skeleton neither. Erosion counts voxels: on anisotropic grids a skeleton is one in voxel space, of the prediction and
of the annotation alike.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from voxfield.errors import SettingsError
from voxfield.segmentation.losses._classes import foreground
from voxfield.segmentation.losses._soft_skeleton import hard_skeleton, soft_skeleton
from voxfield.segmentation.losses._truth import Truth


@dataclass(frozen=True)
class SoftClDice:
    """One minus the soft centerline Dice.

    iterations  erosions: at least half the voxels across the thickest structure; beyond that they cost time only
    """

    needs_tube: ClassVar[bool] = False
    iterations: int = 10

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise SettingsError(f"regularizer 'cldice': iterations is {self.iterations}; expected at least 1")

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        """Value, (); 0 for a perfect prediction.

        logits  (b, c, x, y, z), class 0 is background
        """
        probability, member = foreground(logits, truth)
        weight = truth.weight.unsqueeze(1).to(probability.dtype)
        known = None if (truth.weight > 0).all() else weight > 0
        predicted = soft_skeleton(probability, known, self.iterations) * weight
        annotated = hard_skeleton(member, known, self.iterations) * weight
        precision = _share(predicted, member)
        sensitivity = _share(annotated, probability)
        return 1 - (2 * precision * sensitivity / (precision + sensitivity)).mean()


def _share(skeleton: Tensor, volume: Tensor) -> Tensor:
    """Which part of a skeleton (b, c, x, y, z) lies in a volume, (c,)."""
    voxels = (0, 2, 3, 4)
    return ((skeleton * volume).sum(voxels) + 1) / (skeleton.sum(voxels) + 1)
