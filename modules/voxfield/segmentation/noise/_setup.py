"""What training is given when its labels are not taken at their word."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from voxfield.errors import SettingsError
from voxfield.segmentation._plan import Plan
from voxfield.segmentation._training import Source
from voxfield.segmentation.networks import OwnLoss, multiple
from voxfield.segmentation.noise._correction import Corrected, check
from voxfield.segmentation.noise._network import NoisyLabels

Inspect = Callable[[nn.Module], dict[str, Any]]


class Setup(NamedTuple):
    """What to train, on what, and what to look at on the way."""

    learner: nn.Module
    source: Source
    inspections: list[Inspect]


def setup(
    network: nn.Module,
    source: Source,
    plan: Plan,
    *,
    readers: Sequence[str],
    confident: float,
    correct: bool,
    checks: int,
    device: torch.device,
) -> Setup:
    """The network itself where there is one reader whose labels stand; otherwise a network with a model of the labels.

    readers    who annotated
    confident  weight of the entropy with several readers
    correct    whether labels are corrected
    checks     how often
    """
    if len(readers) < 2 and not correct:
        return Setup(network, source, [])
    if isinstance(network, OwnLoss):
        raise SettingsError(
            f"architecture {plan.architecture!r} has a loss of its own; several readers and corrected labels need one "
            "that gives class logits, such as 'unet'"
        )
    classes = len(plan.labels) + 1
    learner = NoisyLabels(
        network,
        classes,
        readers=len(readers),
        confident=confident,
        targets=[source[index].target for index in range(len(source))] if correct else [],
        checks=checks,
        multiple=multiple(plan.architecture, plan.arguments),
    )
    if not correct:
        return Setup(learner, source, [])
    look = partial(check, learner, source, plan.patch, classes, device)
    return Setup(learner, Corrected(source, learner), [lambda _: look()])


def matrices(learner: nn.Module, readers: Sequence[str]) -> dict[str, Any]:
    """Chances that each reader writes a class (columns) where the truth is another (rows); empty for a single one."""
    noise = getattr(learner, "noise", None)
    if noise is None:
        return {}
    with torch.no_grad():
        return {"readers": dict(zip(readers, noise.matrices().cpu().tolist(), strict=True))}
