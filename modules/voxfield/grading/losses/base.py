"""What a labelled row costs, whatever the algorithm does with the unlabelled ones."""

from torch import Tensor

from voxfield.grading.components import Component


class LabelLoss(Component):
    """Base of all label losses: subclasses are dataclasses whose fields are their options."""

    def __call__(self, log_probability: Tensor, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """The loss of each row, (n,).

        log_probability  (n, k) of the head
        target           (n, k) one-hot or soft
        rows             (n,) places in the training set; None where a target mixes two rows, which a loss that
                         remembers rows can not take: it raises SettingsError
        """
        raise NotImplementedError
