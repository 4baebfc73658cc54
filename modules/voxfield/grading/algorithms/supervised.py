"""Learning from labelled scans alone, with the strong views: the baseline that semi-supervision has to beat.

Of the gain that FixMatch shows over weakly augmented supervision, on digits 40 to 50 % is the augmentation, so the
baseline has it too.
"""

from dataclasses import dataclass

from torch import Tensor

from voxfield.grading.algorithms.base import Algorithm, Batch, Kind, Nets, figures, forward


@dataclass
class Supervised(Algorithm):
    """The label loss and nothing else.

    views  "strong", "weak", or "cutout": weak and a square erased
    """

    views: Kind = "strong"

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        seen = nets.view(batch.labelled, self.views)
        [found] = forward(nets.student, seen)
        value = nets.label_loss(found, batch.target, seen.rows).mean()
        return value, figures(supervised=value)
