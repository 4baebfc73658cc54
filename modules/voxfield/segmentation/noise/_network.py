"""A network together with all that is learnt about the labels it is trained on.

Being one module, its reader matrices are trained with it, and corrected labels and the course of the overlap are part
of its checkpoint: a killed training goes on with them to the bit. Only the network within goes into a model file.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxfield.segmentation.losses import Truth, dice_cross_entropy
from voxfield.segmentation.noise import _scales
from voxfield.segmentation.noise._readers import ReaderNoise, entropy


class NoisyLabels(nn.Module):  # type: ignore[misc]
    """(b, channels, x, y, z) -> class logits; trained against what readers write.

    network    gives class logits
    readers    how many; a single one is taken at their word
    confident  weight of the entropy, with several readers
    targets    (x, y, z) uint8 of every scan, where labels are to be corrected
    checks     how often the overlap is looked at
    multiple   what the sides of a patch are multiples of
    """

    overlap: Tensor
    memorised: Tensor

    def __init__(
        self,
        network: nn.Module,
        classes: int,
        *,
        readers: int,
        confident: float,
        targets: Sequence[Tensor],
        checks: int,
        multiple: Sequence[int],
    ) -> None:
        super().__init__()
        self.network, self.confident, self.multiple = network, confident, tuple(multiple)
        self.noise = ReaderNoise(readers, classes) if readers > 1 else None
        self.scans = len(targets)
        for number, target in enumerate(targets):
            self.register_buffer(f"target_{number}", target.clone())
        self.register_buffer("overlap", torch.full((checks if targets else 0, classes - 1), torch.nan))
        self.register_buffer("memorised", torch.zeros(classes - 1, dtype=torch.bool))

    def target(self, number: int) -> Tensor:
        """Labels of a scan as they are believed now, (x, y, z) uint8."""
        return self.get_buffer(f"target_{number}")

    def outputs(self, images: Tensor) -> list[Tensor]:
        """Logits, at several scales where labels are to be corrected."""
        return _scales.at_every_scale(self.network, images, self.multiple) if self.scans else [self.network(images)]

    def own_loss(self, outputs: list[Tensor], truth: Truth) -> Tensor:
        """Dice and cross entropy of what the readers are expected to write, entropy, disagreement of scales."""
        logits = outputs[0].float()
        if self.noise is None or truth.reader is None:
            loss = dice_cross_entropy(logits, truth.target, truth.weight)
        else:
            written = self.noise(logits, truth.reader)
            loss = dice_cross_entropy(written, truth.target, truth.weight)
            loss = loss + self.confident * entropy(logits, truth.weight)
        return loss + _scales.disagreement(outputs) if len(outputs) > 1 else loss

    def decode(self, outputs: list[Tensor]) -> Tensor:
        """Class logits of the truth."""
        return outputs[0]

    def forward(self, images: Tensor) -> Tensor:
        """Class logits of the truth."""
        logits: Tensor = self.network(images)
        return logits
