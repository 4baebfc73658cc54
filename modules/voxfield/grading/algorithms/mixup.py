"""MixUp (Zhang et al. 2018, arXiv 1710.09412): learning between labelled scans.

    x = s x1 + (1 - s) x2     target = s y1 + (1 - s) y2     s ~ Beta(alpha, alpha)

with x2, y2 another row of the batch. Cross entropy is linear in the target, so that its loss of the mixed target is the
s-weighted sum of the two that the paper writes; other label losses take the mixed target as it is. Different here: a
share for each pair instead of one for the batch, and strong views, as in `supervised`.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt
from torch import Tensor

from voxfield.grading.algorithms._mixing import mixed_labels
from voxfield.grading.algorithms.base import Algorithm, Batch, Nets, figures, forward


@dataclass
class MixUp(Algorithm):
    """Options of MixUp.

    alpha  of the Beta distribution: small ones stay near one of the two scans, 1 is uniform
    """

    alpha: Annotated[float, Gt(0)] = 0.2

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        mixed, target = mixed_labels(batch, nets, self.alpha)
        [found] = forward(nets.student, mixed)
        value = nets.label_loss(found, target, None).mean()
        return value, figures(supervised=value)
