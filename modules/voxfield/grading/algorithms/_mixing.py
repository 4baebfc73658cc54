"""Straight lines between rows, between their targets and between what a network says of them (Zhang et al. 2018).

Everything takes a share (n,) of the first of two sets of n rows, one for each pair. Features mix like images: a missing
value counts as the mean and its flag becomes the share of what is missing.
"""

import numpy as np
import torch
from torch import Tensor

from voxfield.grading.algorithms.base import Batch, Inputs, Nets


def beta_shares(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Shares (count,) of a Beta(alpha, alpha) distribution."""
    seed = int(torch.randint(2**62, (), generator=generator))  # torch draws no Beta from a generator that is given
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count)).to(torch.get_default_dtype())


def partners(count: int, generator: torch.Generator) -> Tensor:
    """For each row of a batch another one to mix it with, (count,): rows stand in a random ring, none beside itself."""
    ring = torch.randperm(count, generator=generator)
    return torch.empty_like(ring).scatter(0, ring, ring.roll(1))


def pick(inputs: Inputs, order: Tensor) -> Inputs:
    """Some rows in some order."""
    image = None if inputs.image is None else inputs.image[order]
    features = None if inputs.features is None else inputs.features[order]
    return Inputs(image, features, inputs.rows[order])


def mix(first: Inputs, second: Inputs, share: Tensor) -> Inputs:
    """Inputs between two sets of rows; they have no place in the training set."""
    image = None if first.image is None else blend(first.image, second.image, share)
    features = None if first.features is None else blend(first.features, second.features, share)
    return Inputs(image, features, torch.full_like(first.rows, -1))


def blend(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """share * first + (1 - share) * second for each row; all (n, ...)."""
    return torch.lerp(second, first, share.to(first.device).view(-1, *[1] * (first.ndim - 1)))


def interpolate(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Log-probabilities (n, k) whose logits lie between those of two others.

    A logit is a log-probability plus a number that is the same for all grades, and normalising takes that off again.
    """
    return torch.log_softmax(blend(first, second, share), dim=1)


def mixed_labels(batch: Batch, nets: Nets, alpha: float) -> tuple[Inputs, Tensor]:
    """MixUp of the labelled rows: strong views, each mixed with another of the batch, and targets mixed alike."""
    seen, count = nets.view(batch.labelled, "strong"), len(batch.labelled)
    share, order = beta_shares(count, alpha, nets.generator), partners(count, nets.generator)
    return mix(seen, pick(seen, order), share), blend(batch.target, batch.target[order], share)
