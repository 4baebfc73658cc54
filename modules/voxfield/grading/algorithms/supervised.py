"""Learning from labelled scans alone, with the strong views: the baseline that semi-supervision has to beat.

Of the gain that FixMatch shows over weakly augmented supervision, on digits 40 to 50 % is the augmentation, so the
baseline has it too.
"""

from dataclasses import dataclass

from torch import Tensor

from voxfield.grading.algorithms.base import Algorithm, Batch, Inputs, Nets, forward


@dataclass
class Supervised(Algorithm):
    """The label loss and nothing else.

    views  "strong" or "weak"
    """

    views: str = "strong"

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        seen: Inputs = nets.view(batch.labelled, "weak" if self.views == "weak" else "strong")
        value = nets.label_loss(forward(nets.student, seen), batch.target, seen.rows).mean()
        return value, {"supervised": float(value.detach())}
