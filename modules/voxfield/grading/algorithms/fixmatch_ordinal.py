"""Semi-supervision that knows the order of the grades: our ordinal form of FixMatch (Sohn et al. 2020).

FixMatch accepts an unlabelled image when one grade has 95 % of the mass. Readers disagree by one grade, so an
honest network is rarely that sure: the rule accepts 3 % of such images. Here

    accept   if the mass within one grade of the most likely grade exceeds `window`: doubt between
             neighbours is no reason to throw an image away, doubt between healthy and severe is
    target   p^sharpness / sum p^sharpness, soft: the doubt between neighbours is kept. Sharpening suits grades
             that an image decides; where a hidden cause leaves honest doubt it only makes the network too sure
    loss     that of the labelled, plus weight * mean over all unlabelled of
             accepted * (CE(target, strong) + ordinal * RPS(target, strong))

where p comes from the moving average on a weak view (FixMatch uses the student itself) without gradient. The
RPS term compares cumulative distributions, so a consistency error of three grades costs more than three
errors of one. Labelled images run in strong views, as in `supervised`.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from voxfield.grading.algorithms._consistency import linear_ramp
from voxfield.grading.algorithms.base import Algorithm, Batch, Nets, figures, forward
from voxfield.grading.algorithms.supervised import Supervised
from voxfield.grading.losses.ordinal import cross_entropy, ranked_probability


@dataclass
class FixMatchOrdinal(Algorithm):
    """Options of the ordinal FixMatch.

    weight     of the unlabelled loss       ramp       share of the training over which it grows from 0
    window     mass within one grade of the mode that accepts a target
    sharpness  exponent of the soft target  ordinal    weight of the ranked probability score of the unlabelled
    """

    unlabelled_ratio: Annotated[int, Ge(0)] = 2
    weight: Annotated[float, Ge(0)] = 1.0
    window: Annotated[float, Ge(0), Le(1)] = 0.8
    sharpness: Annotated[float, Ge(0)] = 1.0
    ordinal: Annotated[float, Ge(0)] = 1.0
    ramp: Annotated[float, Ge(0), Le(1)] = 0.2

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        if batch.unlabelled is None:
            return Supervised().loss(batch, nets)
        labelled = nets.view(batch.labelled, "strong")
        with torch.no_grad():
            [guess] = forward(nets.teacher, nets.view(batch.unlabelled, "weak"))
        guess = guess.exp()
        accepted = window_mass(guess) > self.window
        target = sharpen(guess, self.sharpness)
        known, unknown = forward(nets.student, labelled, nets.view(batch.unlabelled, "strong"))
        supervised = nets.label_loss(known, batch.target, labelled.rows).mean()
        each = cross_entropy(unknown, target) + self.ordinal * ranked_probability(unknown, target)
        consistency = (each * accepted).mean()
        weight = self.weight * linear_ramp(batch.progress, self.ramp)
        told = figures(supervised=supervised, consistency=consistency, accepted=accepted.float().mean())
        return supervised + weight * consistency, told


def window_mass(probability: Tensor) -> Tensor:
    """Mass within one grade of the most likely grade; (n,) from (n, k)."""
    padded = torch.nn.functional.pad(probability, (1, 1))
    windows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return windows.gather(1, probability.argmax(1, keepdim=True)).squeeze(1)


def sharpen(probability: Tensor, exponent: float) -> Tensor:
    """p^e / sum p^e, (n, k)."""
    power = probability**exponent
    return power / power.sum(1, keepdim=True)
