"""What a network has said of the labelled rows, for losses that compare with it or learn from it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from voxfield.grading.components import Labels


class RowMemory:
    """A moving average of the probabilities of each row, and the passes made over the labelled rows.

    decay   of the average, which begins at 0
    said    (n, k) the average
    met     labelled rows taken in so far, each time counted
    """

    def __init__(self, labels: Labels, decay: float) -> None:
        self.decay = decay
        self.grades = labels.grades.cpu()
        self.labelled = torch.nonzero(self.grades >= 0).flatten()
        self.said = torch.zeros(len(self.grades), labels.count)
        self.met = 0

    @property
    def passes(self) -> int:
        """As many rows were taken in as so many passes hold."""
        return self.met // len(self.labelled)

    def update(self, log_probability: Tensor, rows: Tensor) -> bool:
        """Take in what is said of some rows; whether this completes a pass."""
        before = self.passes
        now = log_probability.detach().exp().to(self.said)
        self.said[rows] = self.decay * self.said[rows] + (1 - self.decay) * now
        self.met += len(rows)
        return self.passes > before

    @property
    def seen(self) -> Tensor:
        """Labelled rows of which something was said, (m,)."""
        return self.labelled[self.said[self.labelled].sum(1) > 0]

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"said": self.said, "met": torch.tensor(self.met)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """From a checkpoint."""
        self.said, self.met = tensors["said"].clone(), int(tensors["met"])
