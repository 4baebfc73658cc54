"""Interpolation consistency (ICT; Verma et al. 2019, arXiv 1903.03825): a mix of scans gets the mix of their grades.

    u = s u1 + (1 - s) u2     target = s z1 + (1 - s) z2, then softmax     s ~ Beta(alpha, alpha)
    loss     that of the labelled, plus weight * ramp * mean of (1 / k) sum_k (p_k(u) - target_k)^2

with z1, z2 the logits that the moving average gives to weak views u1, u2 of two unlabelled rows, without gradient; the
student sees the same views, mixed. Labelled rows run in strong views, as in `supervised`, and are not mixed.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from voxfield.grading.algorithms._consistency import sigmoid_ramp, squared_distance
from voxfield.grading.algorithms._mixing import beta_shares, interpolate, mix, partners, pick
from voxfield.grading.algorithms.base import Algorithm, Batch, Nets, figures, forward
from voxfield.grading.algorithms.supervised import Supervised


@dataclass
class Interpolation(Algorithm):
    """Options of interpolation consistency.

    weight  of the consistency                 ramp  share of the training over which it grows
    alpha   of the Beta distribution: small ones stay near one of the two scans, 1 is uniform
    """

    unlabelled_ratio: Annotated[int, Ge(0)] = 2
    weight: Annotated[float, Ge(0)] = 10.0
    ramp: Annotated[float, Ge(0), Le(1)] = 0.25
    alpha: Annotated[float, Gt(0)] = 1.0

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        if batch.unlabelled is None:
            return Supervised().loss(batch, nets)
        labelled, unlabelled = nets.view(batch.labelled, "strong"), nets.view(batch.unlabelled, "weak")
        order, share = (
            partners(len(unlabelled), nets.generator),
            beta_shares(len(unlabelled), self.alpha, nets.generator),
        )
        with torch.no_grad():
            [ends] = forward(nets.teacher, unlabelled)
            target = interpolate(ends, ends[order], share)
        known, between = forward(nets.student, labelled, mix(unlabelled, pick(unlabelled, order), share))
        supervised = nets.label_loss(known, batch.target, labelled.rows).mean()
        consistency = squared_distance(between, target).mean()
        total = supervised + self.weight * sigmoid_ramp(batch.progress, self.ramp) * consistency
        return total, figures(supervised=supervised, consistency=consistency)
