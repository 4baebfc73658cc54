"""Supervised training on patches of annotated scans."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from voxfield.segmentation._augment import UNANNOTATED
from voxfield.segmentation._optimise import History, Schedule, layout, mixed_precision, optimise, step_generator
from voxfield.segmentation._patches import Patch, Recipe, Volume, draw
from voxfield.segmentation.losses import Objective, Truth
from voxfield.sharing import gathered, mine
from voxfield.workspace import Workspace


class Source(Protocol):
    """Scans by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Volume: ...


def batch_of(
    source: Source, recipe: Recipe, size: int, generator: torch.Generator, members: Sequence[int] | None = None
) -> Patch:
    """Patches of scans drawn at random, stacked along a first axis b.

    members  which of the `size` patches to draw, all by default; each has random numbers of its own, so that processes
             that share a batch draw only theirs
    """
    scans = torch.randint(len(source), (size,), generator=generator).tolist()
    seeds = torch.randint(2**62, (size,), generator=generator).tolist()
    images, targets, tubes, readers = zip(
        *(
            draw(source[scans[k]], recipe, torch.Generator().manual_seed(seeds[k]))
            for k in (range(size) if members is None else members)
        ),
        strict=True,
    )
    tube = None if None in tubes else torch.stack(tubes)
    return Patch(torch.stack(images), torch.stack(targets), tube, torch.stack(readers))


def fit(
    network: nn.Module,
    source: Source,
    recipe: Recipe,
    batch: int,
    schedule: Schedule,
    objective: Objective,
    *,
    spacing_mm: tuple[float, float, float],
    seed: int,
    device: torch.device,
    workspace: Workspace,
    inspections: Sequence[Callable[[nn.Module], dict[str, Any]]] = (),
    progress: Callable[[Sequence[int]], Any] = iter,
) -> History:
    """Train `network` in place on patches; see `optimise`.

    batch        patches of an update
    inspections  what to look at after the steps `schedule.validate_at`; each returns figures by name
    """

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        patches = batch_of(source, recipe, batch, step_generator(seed, step), mine(batch))
        images = patches.image.to(device=device, memory_format=layout(network))
        with mixed_precision(device):
            return objective(network, images, _truth(patches, spacing_mm, device))

    def validate(learner: nn.Module) -> dict[str, Any]:
        return {name: value for inspect in inspections for name, value in inspect(learner).items()}

    return optimise(
        network,
        loss_of,
        schedule,
        device=device,
        workspace=workspace,
        validate=validate if inspections else None,
        progress=progress,
    )


def _truth(batch: Patch, spacing_mm: tuple[float, float, float], device: torch.device) -> Truth:
    """Of the patches of all processes."""
    target = gathered(batch.target.to(device))
    annotated = target != UNANNOTATED
    tube = None if batch.tube is None else gathered(batch.tube.to(device)).long()
    reader = gathered(batch.reader.to(device))
    return Truth(torch.where(annotated, target, 0).long(), annotated.float(), spacing_mm, tube, reader)
