"""FixMatch (Sohn et al. 2020, arXiv 2001.07685): sure grades of a weak view teach the strong view.

    accept   if the most likely grade of the student on a weak view has at least `threshold` of the mass
    loss     that of the labelled, plus weight * mean over all unlabelled of accepted * CE(that grade, strong view)

without gradient through the grade, and without a ramp: few rows are accepted early. Different here: labelled rows run
in strong views instead of weak ones, as in `supervised`, so that what FixMatch adds to that is the unlabelled rows
alone. For grades that neighbours share `fixmatch_ordinal` accepts far more.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from voxfield.grading.algorithms.base import Algorithm, Batch, Nets, figures, forward
from voxfield.grading.algorithms.supervised import Supervised
from voxfield.grading.losses.ordinal import cross_entropy, one_hot


@dataclass
class FixMatch(Algorithm):
    """Options of FixMatch.

    weight  of the unlabelled loss     threshold  mass of the most likely grade that accepts it
    """

    unlabelled_ratio: Annotated[int, Ge(0)] = 2
    weight: Annotated[float, Ge(0)] = 1.0
    threshold: Annotated[float, Ge(0), Le(1)] = 0.95

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        if batch.unlabelled is None:
            return Supervised().loss(batch, nets)
        labelled = nets.view(batch.labelled, "strong")
        with torch.no_grad():
            [guess] = forward(nets.student, nets.view(batch.unlabelled, "weak"))
        mass, grade = guess.exp().max(1)
        accepted = (mass >= self.threshold).to(guess.dtype)
        known, unknown = forward(nets.student, labelled, nets.view(batch.unlabelled, "strong"))
        supervised = nets.label_loss(known, batch.target, labelled.rows).mean()
        consistency = (accepted * cross_entropy(unknown, one_hot(grade, guess.shape[1]))).mean()
        told = figures(supervised=supervised, consistency=consistency, accepted=accepted.mean())
        return supervised + self.weight * consistency, told
