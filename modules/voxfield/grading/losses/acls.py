"""Smoothing where the network is too sure (Park et al., "ACLS: Adaptive and Conditional Label Smoothing for Network
Calibration", 2023, arXiv 2308.11911).

With logits z, the predicted class m = argmax z and a margin M,

    L = CE + weight (a relu(z_m - M)^2 + b mean_{j != m} relu(sg(z_m) - z_j - M)^2)

where sg stops the gradient: the first term pushes the predicted class down, the second the others up, each only as
far as the margin. What plays the logits here, for any head: log-probabilities minus their mean over the grades.
Differences are those of logits, and logits of a network trained with cross entropy keep their mean, 0, since the
gradient over the classes sums to zero.

The margin of 10 in the paper is for 200 to 1000 classes. It leaves the predicted one of 200 classes free up to a
probability of 1 / (1 + 199 exp(-10)) = .991, which 5 grades reach with a margin of log(4 * .991 / .009) = 6.1.
Heads of one score give grades far off a small probability by construction, and the second term meets those first.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from voxfield.grading.losses.ordinal import Ordinal


@dataclass
class Acls(Ordinal):
    """Options beside that of the ordinal loss, to which the smoothing is added.

    margin  M, nats        weight  of the smoothing
    down    a              up      b
    """

    margin: Annotated[float, Ge(0)] = 6.0
    weight: Annotated[float, Ge(0)] = 0.1
    down: Annotated[float, Ge(0)] = 1.0
    up: Annotated[float, Ge(0)] = 0.1

    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """See the module; (n,)."""
        logits = log_probability - log_probability.mean(1, keepdim=True)
        largest = logits.amax(1)
        down = (largest - self.margin).relu().square()
        # The predicted grade itself is at distance 0, within any margin.
        gaps = (largest.detach()[:, None] - logits - self.margin).relu().square()
        up = gaps.sum(1) / (logits.shape[1] - 1)
        return super().__call__(log_probability, target) + self.weight * (self.down * down + self.up * up)
