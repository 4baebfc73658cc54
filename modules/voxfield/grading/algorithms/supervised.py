"""Learning from labelled scans alone, with the strong views: the baseline that semi-supervision has to beat.

Loss = CE + ordinal * RPS on strong views. Measured (shared notes of the family): of the gain that FixMatch
shows over weakly augmented supervision, 40 to 50 % is the augmentation, so the baseline has it too.
"""

from dataclasses import dataclass

from torch import Tensor

from voxfield.grading.algorithms.base import Algorithm, Batch, Inputs, Nets, forward
from voxfield.grading.losses.ordinal import cross_entropy, ranked_probability


@dataclass
class Supervised(Algorithm):
    """Cross entropy and ranked probability score.

    ordinal  weight of the ranked probability score
    views    "strong" or "weak"
    """

    ordinal: float = 1.0
    views: str = "strong"

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        seen: Inputs = nets.view(batch.labelled, "weak" if self.views == "weak" else "strong")
        value = supervised_loss(forward(nets.student, seen), batch.target, self.ordinal)
        return value, {"supervised": float(value.detach())}


def supervised_loss(log_probability: Tensor, target: Tensor, ordinal: float) -> Tensor:
    """mean(CE + ordinal * RPS), a scalar from (n, k) and (n, k)."""
    ranked = ranked_probability(log_probability, target)
    return (cross_entropy(log_probability, target) + ordinal * ranked).mean()
