"""A student and its teacher, which is the student's moving average."""

import copy

import torch
from torch import Tensor, nn

from voxfield.sharing import shared

MOMENTUM = 0.99
EMBEDDING = 16  # channels
OUTPUTS = 2 + EMBEDDING  # intensity, foreseen loss, embedding


class Siblings(nn.Module):  # type: ignore[misc]
    """Two networks of one architecture; the second has no gradient and follows the first."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.student = network
        self.teacher = copy.deepcopy(network).requires_grad_(False)

    def follow(self) -> None:
        """Move the teacher towards the student."""
        with torch.no_grad():
            pairs = zip(self.teacher.state_dict().values(), self.student.state_dict().values(), strict=True)
            for theirs, ours in pairs:
                if theirs.dtype.is_floating_point:
                    theirs.lerp_(ours, 1 - MOMENTUM)

    def teach(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the teacher foresees, (b, x, y, z), and its embedding, (b, e, x, y, z)."""
        with torch.no_grad():
            outputs = shared(self.teacher, images)
        return outputs[:, 1], outputs[:, 2:]
