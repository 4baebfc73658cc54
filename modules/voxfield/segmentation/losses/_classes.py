"""Probabilities and annotation of a batch, class by class."""

import torch
from torch import Tensor

from voxfield.errors import InputError, SettingsError
from voxfield.segmentation.losses._truth import Truth


def foreground(logits: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Probability and one-hot annotation of every foreground class.

    logits   (b, c, x, y, z), class 0 is background
    returns  probability (b, c - 1, x, y, z); member (b, c - 1, x, y, z) bool, False where the weight is 0

    Raises SettingsError where there is no foreground class.
    """
    classes = torch.arange(1, _count(logits), device=logits.device).view(1, -1, 1, 1, 1)
    member = (truth.target.unsqueeze(1) == classes) & (truth.weight > 0).unsqueeze(1)
    return logits.softmax(dim=1)[:, 1:], member


def on_tube(logits: Tensor, truth: Truth) -> tuple[Tensor, Tensor, Tensor]:
    """Probability of the class whose widened skeleton runs through a voxel, where one does.

    logits   (b, c, x, y, z), class 0 is background
    returns  inside (b, x, y, z) bool, the n annotated voxels of the tube; label (n,) and probability (n,) there

    Raises SettingsError where there is no foreground class, InputError for a batch whose loader made no tube.
    """
    _count(logits)
    if truth.tube is None:
        raise InputError("the batch has no widened skeleton (Truth.tube is None); expected one, as needs_tube says")
    inside = (truth.tube > 0) & (truth.weight > 0)
    label = truth.tube[inside]
    return inside, label, logits.movedim(1, -1)[inside].softmax(dim=-1).gather(1, label[:, None])[:, 0]


def _count(logits: Tensor) -> int:
    count = int(logits.shape[1])
    if count < 2:
        raise SettingsError(
            f"the network tells {count} class(es); regularizers expect background and at least one more"
        )
    return count
