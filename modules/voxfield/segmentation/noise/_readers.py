"""Several readers of the same scans, each with errors of their own.

Hashmi, Zhumabayeva et al., "Learning Confident Classifiers in the Presence of Label Noise", 2023 (arXiv 2301.00524):
the network tells the class probabilities p of the unknown truth, each reader r has a matrix A_r of the chances to write
label j where the truth is i, and what is compared with the reader's label is

    P(reader writes j) = sum_i p_i A_r[i, j],       loss = loss(P, label) + weight * entropy(p)

The entropy pushes the network to be sure, so that doubt goes into the matrices and not into p. Matrices begin close to
the identity: without that, classes could trade names. Different from the paper: Dice stands beside the cross entropy,
as everywhere here, and one matrix holds for all voxels of a reader.
"""

import torch
from torch import Tensor, nn

RELIABLE = 0.9  # chance of a right label that every reader begins with
PACE = 10.0  # a matrix has few numbers on which all voxels agree: they may move faster than the network's weights


class ReaderNoise(nn.Module):  # type: ignore[misc]
    """Matrices of chances, one a reader; rows sum to 1."""

    def __init__(self, readers: int, classes: int) -> None:
        super().__init__()
        start = torch.full((classes, classes), (1 - RELIABLE) / (classes - 1))
        start.fill_diagonal_(RELIABLE)
        self.scores = nn.Parameter(start.log().repeat(readers, 1, 1) / PACE)

    def matrices(self) -> Tensor:
        """A_r[i, j], (readers, classes, classes)."""
        return (PACE * self.scores).softmax(dim=-1)

    def forward(self, logits: Tensor, reader: Tensor) -> Tensor:
        """Logarithm of what each reader is expected to write, (b, c, x, y, z).

        logits  (b, c, x, y, z) of the truth
        reader  (b,) whose label it is compared with
        """
        chances = (PACE * self.scores[reader]).log_softmax(dim=-1)
        truth = logits.log_softmax(dim=1)
        return torch.logsumexp(truth.unsqueeze(2) + chances[..., None, None, None], dim=1)


def entropy(logits: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean entropy of class probabilities, nats; 0 where nothing has weight.

    logits  (b, c, x, y, z)
    weight  (b, x, y, z)
    """
    log_p = logits.log_softmax(dim=1)
    total = weight.sum()
    return (-(log_p.exp() * log_p).sum(dim=1) * weight).sum() / torch.where(total > 0, total, 1.0)
