"""Agreement of neighbours in connectivity, after the connectivity maps of AirwayNet (Qin et al., MICCAI 2019).

AirwayNet (arXiv 1907.06852) tells for each of the 26 neighbours v + d of a voxel v whether both belong to the
airway. From class probabilities that is, both directions of a pair agreeing by construction,

    V_d(v) = p(v) p(v + d),   annotated  C_d(v) = m(v) m(v + d),
    loss = 1 - mean over classes and d of (2 sum w V_d C_d + 1) / (sum w V_d + sum w C_d + 1),

with w = w(v) w(v + d). Our own reading: the paper gives 26 outputs to the network; here any network's probabilities
are held to the same maps. V_d and V_-d are one map, so 13 steps do. Neighbours are those in voxel space, 26 on
every grid. An isolated voxel has no neighbour and no say.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from voxfield.segmentation.losses._classes import foreground
from voxfield.segmentation.losses._shifts import HALF, views
from voxfield.segmentation.losses._truth import Truth

PAIRS = tuple(views(step) for step in HALF)


@dataclass(frozen=True)
class Connectivity:
    """One minus the Dice of 26-neighbour connectivity maps."""

    needs_tube: ClassVar[bool] = False

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        """Value, (); 0 for a perfect prediction.

        logits  (b, c, x, y, z), class 0 is background
        """
        probability, member = foreground(logits, truth)
        weight = truth.weight.unsqueeze(1).to(probability.dtype)
        told, annotated = probability * weight, member * weight
        both = _agreement(told * member)
        return 1 - ((2 * both + 1) / (_agreement(told) + _agreement(annotated) + 1)).mean()


def _agreement(volume: Tensor) -> Tensor:
    """sum_v f(v) f(v + d) of f (b, c, x, y, z) for 13 steps d, over the batch: (13, c)."""
    result: Tensor = _Agreement.apply(volume)
    return result


class _Agreement(torch.autograd.Function):  # type: ignore[misc]  # torch tells no types here
    """Sums of products of shifted views; its gradient adds the same views, where autograd would copy each."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor) -> Tensor:
        ctx.save_for_backward(volume)
        return torch.stack([(volume[here] * volume[there]).sum((0, 2, 3, 4)) for here, there in PAIRS])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (volume,) = ctx.saved_tensors
        result = torch.zeros_like(volume)
        for (here, there), gradient in zip(PAIRS, gradients[0].view(len(PAIRS), 1, -1, 1, 1, 1), strict=True):
            result[here].addcmul_(volume[there], gradient)
            result[there].addcmul_(volume[here], gradient)
        return result
