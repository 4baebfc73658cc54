"""The Pi-model (Laine and Aila 2017, arXiv 1610.02242): two views of an unlabelled scan get the same grades.

    loss     that of the labelled, plus weight * ramp * mean of (1 / k) sum_k (p_k - q_k)^2

with p and q of two strong views of the same row. Gradients go through both, as in the paper; noise inside the network
(dropout) differs between the two as well. The ramp is the paper's exp(-5 (1 - t)^2), over a share of the training.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le
from torch import Tensor

from voxfield.grading.algorithms._consistency import sigmoid_ramp, squared_distance
from voxfield.grading.algorithms.base import Algorithm, Batch, Nets, figures, forward
from voxfield.grading.algorithms.supervised import Supervised


@dataclass
class PiModel(Algorithm):
    """Options of the Pi-model.

    weight  of the consistency     ramp  share of the training over which it grows
    """

    unlabelled_ratio: Annotated[int, Ge(0)] = 2
    weight: Annotated[float, Ge(0)] = 10.0
    ramp: Annotated[float, Ge(0), Le(1)] = 0.25

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        if batch.unlabelled is None:
            return Supervised().loss(batch, nets)
        labelled = nets.view(batch.labelled, "strong")
        first, second = nets.view(batch.unlabelled, "strong"), nets.view(batch.unlabelled, "strong")
        known, p, q = forward(nets.student, labelled, first, second)
        supervised = nets.label_loss(known, batch.target, labelled.rows).mean()
        consistency = squared_distance(p, q).mean()
        total = supervised + self.weight * sigmoid_ramp(batch.progress, self.ramp) * consistency
        return total, figures(supervised=supervised, consistency=consistency)
