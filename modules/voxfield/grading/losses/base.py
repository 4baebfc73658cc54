"""What a labelled row costs, whatever the algorithm does with the unlabelled ones."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from voxfield.errors import SettingsError
from voxfield.grading.components import Component


class LabelLoss(Component, ABC):
    """Base of all label losses: subclasses are dataclasses whose fields are their options."""

    @abstractmethod
    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """The loss of each row, (n,).

        log_probability  (n, k) of the head
        target           (n, k) one-hot or soft
        rows             (n,) places in the training set; None where a target mixes two rows, which a loss that
                         remembers rows can not take: it raises SettingsError
        """

    def account(self) -> dict[str, Any]:
        """What the loss learnt about the labels, JSON; it goes into the metrics."""
        return {}


def known(rows: Tensor | None, name: str) -> Tensor:
    """The rows, for a loss that must tell them apart; raises SettingsError where rows were mixed.

    name  of the loss
    """
    if rows is None:
        raise SettingsError(
            f"the loss {name!r} tells labelled rows apart, but the algorithm mixes them; use an algorithm that leaves "
            "them whole, such as 'supervised' or 'fixmatch_ordinal', or the loss 'ordinal'"
        )
    return rows
