"""Early-learning regularization (Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy Labels",
2020, arXiv 2007.00151), which begins grade by grade.

A network learns what labels have in common before it learns their errors by heart. What it said of row i early on is
kept in a temporal target t_i, and going away from it costs

    L = CE + weight log(1 - <p_i, t_i>),       t_i <- decay t_i + (1 - decay) p_i

The gradient of the second term takes that of a label back which t_i contradicts. At a weight of 1 a sure t_i just
cancels its label, above it is held against any label. The paper's 3 suits classes that look nothing alike; grades whose
neighbours look alike lose by it, since the first borders drawn between them are final (benchmarks/noisy_grades.py).

The paper has the term on from the first step, in all classes; `adaptive=false` is that. Classes differ in how early
they are learnt (ADELE, see `voxfield.memorisation`), and grades differ even more, since rare ones are learnt late: held
to what it says in the meantime, a network would never learn them. So by default a row is held only once its grade
counts as memorised. Our reading: the agreement of a grade is the share of rows with that label whose temporal target
is largest there (recall of the given labels), noted after every pass over the labelled rows; once the slope of its
fitted course has fallen by nine tenths, the rows with this label are held for the rest of the training.

A network with a moving average as result is held by its own words, not by those of the average, as in the paper.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from voxfield import memorisation
from voxfield.grading.components import Labels, Sizes
from voxfield.grading.losses.base import known
from voxfield.grading.losses.memory import RowMemory
from voxfield.grading.losses.ordinal import Ordinal

LEAST = 1e-4  # 1 - <p, t> is taken to be no smaller, for its logarithm


@dataclass
class EarlyLearning(Ordinal):
    """Options beside that of the ordinal loss, to which the regularization is added.

    weight    of the regularization       decay  of the temporal targets
    adaptive  hold a grade only once it is memorised
    """

    weight: Annotated[float, Ge(0)] = 1.0
    decay: Annotated[float, Ge(0), Lt(1)] = 0.7
    adaptive: bool = True

    def begin(self, labels: Labels, sizes: Sizes) -> None:
        """Nothing has been said, and with `adaptive` no grade is held."""
        self._memory = RowMemory(labels, self.decay)
        self._course: list[list[float]] = []
        self._held = torch.full((labels.count,), not self.adaptive)

    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """See the module; (n,)."""
        rows = known(rows, "early_learning")
        if self._memory.update(log_probability, rows) and self.adaptive:
            self._note()
        said = self._memory.said[rows].to(log_probability)
        apart = 1 - (log_probability.exp() * said).sum(1)
        held = self._held[self._memory.grades[rows]].to(log_probability)
        return super().__call__(log_probability, target) + self.weight * held * apart.clamp(min=LEAST).log()

    def _note(self) -> None:
        self._course.append(recall(self._memory))
        for grade in range(len(self._held)):
            if not self._held[grade]:
                self._held[grade] = memorisation.memorised([agreement[grade] for agreement in self._course])

    def account(self) -> dict[str, Any]:
        """Which grades are held at the end, and the course of their recall."""
        return {"held_grades": torch.nonzero(self._held).flatten().tolist(), "recall": self._course}

    def tensors(self) -> dict[str, Tensor]:
        """Temporal targets, courses and the grades that are held."""
        course = torch.tensor(self._course, dtype=torch.float64).reshape(-1, len(self._held))
        return {**self._memory.tensors(), "course": course, "held": self._held}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take them back."""
        self._memory.restore(tensors)
        self._course, self._held = tensors["course"].tolist(), tensors["held"].clone()


def recall(memory: RowMemory) -> list[float]:
    """Share of the rows of each grade whose average is largest there; 0 for a grade of which no row was met."""
    seen = memory.seen
    grades, right = memory.grades[seen], memory.said[seen].argmax(1) == memory.grades[seen]
    rows = torch.bincount(grades, minlength=memory.said.shape[1])
    found = torch.bincount(grades[right], minlength=memory.said.shape[1])
    shares: list[float] = (found / rows.clamp(min=1)).double().tolist()
    return shares
