"""Semixup (Nguyen et al. 2020, arXiv 2003.01944): consistency on, between and beside the scans.

Labelled rows are mixed as in MixUp, s ~ Beta(alpha, alpha). For an unlabelled row let x be a weak view of it, x' a
second, strong view of x, x2 the weak view of another row, and m = s x + (1 - s) x2 with s drawn alike, but at least
max(s, 1 - s, .55): m is nearer to x. With D(p, q) = (1 / k) sum_k (p_k - q_k)^2 and i the prediction whose logits are
s z(x) + (1 - s) z(x2),

    loss     that of the labelled, plus mean of
             in_manifold * D(x', x) + interpolated * D(m, i) + out_of_manifold * (D(x, m) + D(x', m))

with the constant weights 2, 4 and 2 that the published training used, without ramp or moving average. Both sides of
every D receive gradients, x2 through i as well: so they did in the published training, though its text speaks of
targets. The predictions are less sure than they should be, so a temperature has to be fitted.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from voxfield.grading.algorithms._consistency import squared_distance
from voxfield.grading.algorithms._mixing import beta_shares, interpolate, mix, mixed_labels, partners, pick
from voxfield.grading.algorithms.base import Algorithm, Batch, Nets, figures, forward

LEAST_SHARE = 0.55


@dataclass
class Semixup(Algorithm):
    """Options of Semixup: the weights of its three consistencies.

    in_manifold      of two views of a row            interpolated  of a mix with what lies between its ends
    out_of_manifold  of a mix with the nearer of its ends, in both views
    alpha            of the Beta distribution
    """

    unlabelled_ratio: Annotated[int, Ge(0)] = 2
    in_manifold: Annotated[float, Ge(0)] = 2.0
    interpolated: Annotated[float, Ge(0)] = 4.0
    out_of_manifold: Annotated[float, Ge(0)] = 2.0
    alpha: Annotated[float, Gt(0)] = 0.75

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        mixed, target = mixed_labels(batch, nets, self.alpha)
        if batch.unlabelled is None:
            [known] = forward(nets.student, mixed)
            supervised = nets.label_loss(known, target, None).mean()
            return supervised, figures(supervised=supervised)
        seen = nets.view(batch.unlabelled, "weak")
        order, share = partners(len(seen), nets.generator), self._shares(len(seen), nets.generator)
        sets = mixed, seen, nets.view(seen, "strong"), mix(seen, pick(seen, order), share)
        known, first, second, between = forward(nets.student, *sets)
        supervised = nets.label_loss(known, target, None).mean()
        inside = squared_distance(second, first).mean()
        along = squared_distance(between, interpolate(first, first[order], share)).mean()
        beside = (squared_distance(first, between) + squared_distance(second, between)).mean()
        total = supervised + self.in_manifold * inside + self.interpolated * along + self.out_of_manifold * beside
        told = figures(supervised=supervised, in_manifold=inside, interpolated=along, out_of_manifold=beside)
        return total, told

    def _shares(self, count: int, generator: torch.Generator) -> Tensor:
        share = beta_shares(count, self.alpha, generator)
        return torch.maximum(share, 1 - share).clamp_min(LEAST_SHARE)
