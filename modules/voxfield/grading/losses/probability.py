"""Targets that are frequencies (Liu et al., "Deep Probability Estimation", 2022, arXiv 2111.10734: CaPE).

Where a scan does not decide the grade, a label is one draw, and a network that learns single draws by heart says 0 or
1. CaPE trains on labels first, while the network is still calibrated, and then also on the frequency of the label among
rows of similar predicted probability. The paper has one binary outcome. Grades are K - 1 of them, "is the
grade above j?": for each j rows are ordered by the predicted P(y > j), and a row's frequency of y > j is taken over
the rows around it in that order. Frequencies of a row are put in falling order, if they are not, and their differences
are its target: a distribution, whose mass lies on the grades between those that its neighbours do not exceed and those
that they all exceed.

Different from the paper: a window slides over the order, where its bins stand still. Epochs with frequencies and
epochs with labels take turns there; here every target is a mixture of both, of the same gradient on average. The
first phase ends after a number of passes, since no validation labels are looked at during training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from voxfield.grading.components import Labels, Sizes
from voxfield.grading.losses.base import known
from voxfield.grading.losses.cumulative import above
from voxfield.grading.losses.memory import RowMemory
from voxfield.grading.losses.ordinal import Ordinal, one_hot


@dataclass
class Probability(Ordinal):
    """Options beside that of the ordinal loss, which is taken with the new targets.

    passes  over the labelled rows with their labels alone; frequencies are then counted anew after every pass
    share   of the frequency in a target, the rest is the label
    bins    the window holds as many rows as one of so many bins of equal counts
    """

    passes: Annotated[int, Ge(1)] = 10
    share: Annotated[float, Ge(0), Le(1)] = 0.5
    bins: Annotated[int, Ge(1)] = 10

    def begin(self, labels: Labels, sizes: Sizes) -> None:
        """All targets are the labels."""
        self._memory = RowMemory(labels, decay=0.0)
        self._labels = one_hot(self._memory.grades.clamp(min=0), labels.count)
        self._frequencies = self._labels.clone()

    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """See the module; (n,)."""
        rows = known(rows, "probability")
        if self._memory.update(log_probability, rows) and self._memory.passes >= self.passes:
            self._count()
        frequency = self._frequencies[rows].to(target)
        return super().__call__(log_probability, (1 - self.share) * target + self.share * frequency)

    def _count(self) -> None:
        seen = self._memory.seen
        found = frequencies(above(self._memory.said[seen]), above(self._labels[seen]), self.bins)
        self._frequencies[seen] = masses(found)

    def tensors(self) -> dict[str, Tensor]:
        """What was said, and the frequencies."""
        return {**self._memory.tensors(), "frequencies": self._frequencies}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take them back."""
        self._memory.restore(tensors)
        self._frequencies = tensors["frequencies"].clone()


def frequencies(predicted: Tensor, happened: Tensor, bins: int) -> Tensor:
    """How often outcomes happen to the rows around each row in the order of their prediction, (n, m).

    predicted  (n, m) probabilities of m outcomes      happened  (n, m) 0 or 1
    bins       half a window is n / (2 bins) rows to either side, at least 1; it is cut at the ends
    """
    count = len(predicted)
    half = max(count // (2 * bins), 1)
    order = predicted.argsort(dim=0, stable=True)
    total = torch.nn.functional.pad(happened.gather(0, order).cumsum(0), (0, 0, 1, 0))
    place = torch.arange(count)
    low, high = (place - half).clamp(min=0), (place + half + 1).clamp(max=count)
    found = (total[high] - total[low]) / (high - low)[:, None]
    return torch.empty_like(found).scatter(0, order, found)


def masses(exceeded: Tensor) -> Tensor:
    """Distributions (n, k) from frequencies (n, k - 1) of exceeding each grade but the highest, made to fall."""
    falling = exceeded.sort(dim=1, descending=True).values
    return -torch.cat([torch.ones_like(falling[:, :1]), falling, torch.zeros_like(falling[:, :1])], 1).diff(dim=1)
