"""What the trainer gives to an algorithm, and what it wants back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from voxfield.grading.components import Component
from voxfield.grading.losses.base import LabelLoss

Kind = Literal["weak", "strong"]


@dataclass(frozen=True)
class Inputs:
    """What the network sees of some rows.

    image     (n, 1, x, y[, z]) normalised, or None
    features  (n, f) standardised values, then missing flags, or None
    rows      (n,) places in the training set, for algorithms with memory banks
    """

    image: Tensor | None
    features: Tensor | None
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Batch:
    """One step's rows, still without a view.

    labelled    rows with a grade         target  (n, k) their one-hot grades
    unlabelled  rows without a grade, or None where the cohort has none
    progress    share of the training that is done, 0..1, for ramps
    """

    labelled: Inputs
    target: Tensor
    unlabelled: Inputs | None
    progress: float


@dataclass(frozen=True)
class Nets:
    """The network that learns, its moving average, and the views of this step.

    student, teacher      modules: `f(image, features) -> log-probabilities`, `f.embed(image, features)`, `f.head`
    view                  a random weak or strong view of some inputs
    label_loss            what labelled rows cost, (n,) each
    generator             random numbers of this step, on the CPU
    parts, teacher_parts  what the algorithm's `begin` returned, and its moving average
    """

    student: Any
    teacher: Any
    view: Callable[[Inputs, Kind], Inputs]
    label_loss: LabelLoss
    generator: torch.Generator
    parts: Any = None
    teacher_parts: Any = None


class Algorithm(Component):
    """Base of all algorithms: subclasses are dataclasses whose fields are their options.

    unlabelled_ratio  unlabelled rows of a batch for each labelled one; 0 if the algorithm uses none
    """

    unlabelled_ratio: int = 0

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, a scalar, and figures for the log."""
        raise NotImplementedError


def forward(net: Any, inputs: Inputs) -> Tensor:
    """Log-probabilities (n, k) of some inputs."""
    result: Tensor = net(inputs.image, inputs.features)
    return result


def join(first: Inputs, second: Inputs) -> Inputs:
    """Two sets of rows as one, so that the network runs once."""
    image, features = _cat(first.image, second.image), _cat(first.features, second.features)
    return Inputs(image, features, torch.cat([first.rows, second.rows]))


def _cat(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else torch.cat([first, second])
