"""Networks of one number, so that what an algorithm costs can be worked out by hand."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from voxfield.grading.algorithms import Batch, Nets
from voxfield.grading.algorithms.base import Inputs
from voxfield.grading.losses.ordinal import Ordinal


class Squared(nn.Module):  # type: ignore[misc]
    """Of a feature x, two grades with the logits (x^2, 0): the first has probability sigmoid(x^2)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def embed(self, image: Tensor | None, features: Tensor) -> Tensor:
        """The feature itself, (n, 1)."""
        return self.scale * features

    def head(self, embedding: Tensor) -> Tensor:
        """Log-probabilities (n, 2)."""
        return torch.log_softmax(torch.cat([embedding**2, torch.zeros_like(embedding)], dim=1), dim=1)

    def forward(self, image: Tensor | None, features: Tensor) -> Tensor:
        """Log-probabilities (n, 2)."""
        return self.head(self.embed(image, features))


class Logits(nn.Module):  # type: ignore[misc]
    """Features are logits."""

    def forward(self, image: Tensor | None, features: Tensor) -> Tensor:
        """Log-probabilities (n, k) of features (n, k)."""
        return torch.log_softmax(features, dim=1)


def rows(*features: Any) -> Inputs:
    """Rows of features, one number or several each."""
    values = torch.tensor(features, dtype=torch.float32)
    return Inputs(None, values[:, None] if values.ndim == 1 else values, torch.arange(len(features)))


def shifted(shifts: Iterable[float]) -> Callable[[Inputs, str], Inputs]:
    """Weak views are the rows themselves, the strong ones are moved by the next of some numbers."""
    left = iter(shifts)

    def view(inputs: Inputs, kind: str) -> Inputs:
        assert inputs.features is not None
        moved = inputs.features + (next(left) if kind == "strong" else 0.0)
        return Inputs(None, moved, inputs.rows)

    return view


def nets(student: Any, teacher: Any, view: Any, parts: Any = None, teacher_parts: Any = None) -> Nets:
    """With cross entropy as the label loss."""
    return Nets(student, teacher, view, Ordinal(ranked=0.0), torch.Generator().manual_seed(0), parts, teacher_parts)


def batch(labelled: Inputs, grades: list[int], unlabelled: Inputs | None, progress: float = 1.0) -> Batch:
    """Of two grades, or as many as there are."""
    target = torch.nn.functional.one_hot(torch.tensor(grades), max(2, max(grades) + 1)).float()
    return Batch(labelled, target, unlabelled, progress)
