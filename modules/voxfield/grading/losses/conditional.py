"""The loss of CORN (Shi, Cao and Raschka 2021): K - 1 binary cross entropies, each on the rows that reach it.

Answer j, "is the grade above j?", is asked of rows with y >= j only, and the sum over rows and answers is divided by
the number of questions asked. A row of grade g says yes to all j < g and no to j = g, so its sum is minus the logarithm
of P(y > 0 | y >= 0) ... P(y > g - 1 | y >= g - 1) P(y = g | y >= g) = P(y = g): cross entropy. Hence

    L = n CE / Q,       Q = sum of the questions that the n rows of the batch are asked

which is how it is computed, for any head. A soft target reaches answer j with the weight S_j = sum_{k >= j} t_k; with
these weights the sum is cross entropy with the soft target, and a row is asked sum_{j < K - 1} S_j questions.
"""

from dataclasses import dataclass

from torch import Tensor

from voxfield.grading.losses.base import LabelLoss
from voxfield.grading.losses.cumulative import above
from voxfield.grading.losses.ordinal import cross_entropy


@dataclass
class Conditional(LabelLoss):
    """Cross entropy a question; no options."""

    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """See the module; (n,), whose mean is the loss of the paper."""
        return cross_entropy(log_probability, target) / questions(target).mean()


def questions(target: Tensor) -> Tensor:
    """How many answers each row is asked for, (n,) from (n, k): 1 for grade 0, k - 1 for the two highest."""
    return 1 + above(target)[:, :-1].sum(1)
