"""What the trainer gives to an algorithm, and what it wants back."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from voxfield.grading.components import Component
from voxfield.grading.losses.base import LabelLoss

Kind = Literal["weak", "strong", "cutout"]


@dataclass(frozen=True)
class Inputs:
    """What the network sees of some rows.

    image     (n, c, x, y[, z]) normalised, or None
    features  (n, f) standardised values, then missing flags, or None
    rows      (n,) places in the training set, for algorithms with memory banks; -1 where an input mixes two rows
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
    unlabelled  rows taken as if they had no grade (they are drawn from all rows), or None where every row has one
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
    view                  a random view of some inputs, weak or strong, or weak with a square erased
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


class Algorithm(Component, ABC):
    """Base of all algorithms: subclasses are dataclasses whose fields are their options.

    unlabelled_ratio      unlabelled rows of a batch for each labelled one; 0 if the algorithm uses none
    normalised_embedding  whether the network is to normalise what its head sees

    Where no row is unlabelled, `Batch.unlabelled` is None and an algorithm learns from the labelled rows alone.
    """

    unlabelled_ratio: int = 0
    normalised_embedding: bool = False

    @abstractmethod
    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, a scalar, and figures for the log."""


def forward(net: Callable[[Tensor | None, Tensor | None], Tensor], *sets: Inputs) -> list[Tensor]:
    """What a network, or its `embed`, says of each set of rows; it runs once, on all of them."""
    image = None if sets[0].image is None else torch.cat([each.image for each in sets])
    features = None if sets[0].features is None else torch.cat([each.features for each in sets])
    return list(net(image, features).split([len(each) for each in sets]))


def figures(**values: Tensor) -> dict[str, float]:
    """Scalars for the log."""
    return {name: float(value.detach()) for name, value in values.items()}
