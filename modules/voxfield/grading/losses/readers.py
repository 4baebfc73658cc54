"""Several readers of the same scans, each with errors of their own.

Hashmi, Zhumabayeva et al., "Learning Confident Classifiers in the Presence of Label Noise", 2023 (arXiv 2301.00524):
the network tells the probabilities p of the unknown true grade, reader r has a matrix A_r of the chances to write
grade j where the truth is i, and what is compared with the reader's grade is

    P(reader writes j) = sum_i p_i A_r[i, j],       L = loss(P, grade) + confident * entropy(p)

The entropy keeps the network sure, so that doubt goes into the matrices and not into p. Without it, and without
matrices that begin near the identity, grades could trade names. Different from the paper: the ordinal loss stands for
the cross entropy, and chances begin to fall by exp(-STEEP) a grade, since readers who err do so by one grade. What
comes out is the grade that readers would agree on; the temperature, fitted to single readings, then adds their doubt.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn

from voxfield.errors import SettingsError
from voxfield.grading.components import Labels, Sizes
from voxfield.grading.losses.base import known
from voxfield.grading.losses.ordinal import Ordinal

STEEP = 3.0  # a reader begins with a chance of .905 to write an inner grade right
# A matrix has few numbers on which all rows agree, so it may move faster than the network's weights. Much faster, and
# it takes neighbouring grades for one before the network can tell them apart (at 10, accuracy fell from .81 to .72).
PACE = 2.0


class ReaderChances(nn.Module):  # type: ignore[misc]
    """Matrices of chances, one a reader; rows sum to 1."""

    def __init__(self, readers: int, grades: int) -> None:
        super().__init__()
        place = torch.arange(grades, dtype=torch.get_default_dtype())
        start = -STEEP * (place[:, None] - place).abs()
        self.scores = nn.Parameter(start.repeat(readers, 1, 1) / PACE)

    def matrices(self) -> Tensor:
        """A_r[i, j], (readers, grades, grades)."""
        return (PACE * self.scores).softmax(dim=2)

    def forward(self, log_probability: Tensor, reader: Tensor) -> Tensor:
        """Log-probabilities of what is written (n, k), from those of the truth (n, k) and the readers (n,)."""
        chances = (PACE * self.scores[reader]).log_softmax(dim=2)
        return torch.logsumexp(log_probability[:, :, None] + chances, dim=1)


@dataclass
class Readers(Ordinal):
    """Options beside that of the ordinal loss.

    confident  weight of the entropy
    """

    confident: Annotated[float, Ge(0)] = 0.1

    def begin(self, labels: Labels, sizes: Sizes) -> ReaderChances:
        """Matrices near the identity; raises SettingsError where fewer than two readers are told apart."""
        if labels.readers is None:
            raise SettingsError(
                "the loss 'readers' learns the errors of each reader, but the cohort has no column `reader`; add it, "
                "or use the loss 'ordinal' or 'early_learning'"
            )
        count = int(labels.readers.max()) + 1
        if count < 2:
            raise SettingsError(
                "the loss 'readers' tells readers apart, but one reader gave all grades; use 'early_learning' for the "
                "errors of a single one"
            )
        self._readers, self._chances = labels.readers.cpu(), ReaderChances(count, labels.count)
        return self._chances

    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """See the module; (n,)."""
        written = self._chances(log_probability, self._readers[known(rows, "readers")])
        entropy = -(log_probability.exp() * log_probability).sum(1)
        return super().__call__(written, target) + self.confident * entropy

    def account(self) -> dict[str, Any]:
        """The chances, by reader, true grade and written grade."""
        with torch.no_grad():
            return {"reader_chances": self._chances.matrices().cpu().tolist()}
