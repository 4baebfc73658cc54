"""0-dimensional persistent homology of the class probabilities: pieces that the annotation does not have.

The components of {p >= level}, equally those of the sublevel filtration of 1 - p, are born and die (`_merge`) at voxels
x_birth and x_death. After Hu et al., NeurIPS 2019 (arXiv 1906.05404), and Clough et al., IEEE TPAMI 2020 (arXiv
1910.01877), with n components in the annotation,

    loss = mean over batch and classes of sum_k (p(x_birth,k) - p(x_death,k))^2,

over all components that die but the n - 1 longest-lived; the one that never dies is left out as well. The gradient
fills the gap at x_death and lowers the peak at x_birth. The value is a soft count of surplus pieces: one of probability
1 in a background of 0 counts 1, and so do a hundred of contrast .1. Different from both papers: components to be kept
are not pushed up (Dice and cross entropy see to that), and it is their number that is given, not their place.

Voxels are 26-connected, annotation and prediction alike. Unannotated voxels are not there: the annotated parts that
they separate are counted each for itself. Counts know no unit: the spacing does not enter.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfield.segmentation.losses._classes import foreground
from voxfield.segmentation.losses._merge import Pairs, merge_pairs
from voxfield.segmentation.losses._truth import Truth
from voxfield.segmentation.metrics._topology import label_components


@dataclass(frozen=True)
class Persistence:
    """Squared persistence of surplus components."""

    needs_tube: ClassVar[bool] = False

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        """Value, (); 0 for a perfect prediction.

        logits  (b, c, x, y, z), class 0 is background
        """
        probability, member = foreground(logits, truth)
        values, members = probability.detach().cpu().float().numpy(), member.cpu().numpy()
        known = (truth.weight > 0).cpu().numpy()
        total = probability.new_zeros(())
        for case, channel in np.ndindex(probability.shape[:2]):
            birth, death = surplus(values[case, channel], members[case, channel], known[case])
            flat = probability[case, channel].reshape(-1)
            height = flat[torch.from_numpy(birth).to(flat.device)] - flat[torch.from_numpy(death).to(flat.device)]
            total = total + (height**2).sum()
        return total / (probability.shape[0] * probability.shape[1])


def surplus(values: NDArray[np.float32], member: NDArray[np.bool_], known: NDArray[np.bool_]) -> Pairs:
    """Births and deaths of the components of `values` beyond those of `member`.

    values  (x, y, z)
    member  (x, y, z)
    known   (x, y, z) False where nobody annotated
    """
    pairs = merge_pairs(values, known)
    flat = values.reshape(-1)
    regions, count = label_components(known)
    region = regions.reshape(-1)[pairs.birth]
    # Longest-lived first, region by region.
    order = np.lexsort((flat[pairs.death] - flat[pairs.birth], region))
    region = region[order]
    place = np.arange(len(region)) - np.searchsorted(region, region)
    beyond = order[place >= _components(member & known, regions, count)[region] - 1]
    return Pairs(pairs.birth[beyond], pairs.death[beyond])


def _components(member: NDArray[np.bool_], regions: NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """Number of components of a mask in each region; at least 1, since one component of each never dies."""
    labels, _ = label_components(member)
    _, first = np.unique(labels[member], return_index=True)
    found = np.bincount(regions[member][first], minlength=count + 1)
    return np.maximum(found, 1)
