"""The optimisation itself: patches in, weights out, resumable to the bit.

AdamW (Loshchilov and Hutter, ICLR 2019) with a short linear warm-up and the polynomial decay of nnU-Net,
lr(k) = lr (1 - k/K)^0.9. All that is random in step k follows from (seed, k) alone, and the learning rate
from k, so that weights, the optimiser's moments and k are the whole state: a training that was killed goes
on from its last checkpoint and ends with the same bytes as one that was not.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from voxfield.errors import SettingsError
from voxfield.segmentation._augment import UNANNOTATED
from voxfield.segmentation._patches import Patch, Recipe, Volume, draw
from voxfield.segmentation.losses import Objective, Truth
from voxfield.workspace import Workspace

WARM_UP = 20  # steps
DECAY = 0.9
WEIGHT_DECAY = 1e-2
MAX_GRADIENT = 12.0  # norm at which gradients are clipped, as nnU-Net does
CHECKPOINT = "training"


class Source(Protocol):
    """Scans by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Volume: ...


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    steps             updates of the weights
    batch             patches of an update
    learning_rate     its highest value
    checkpoint_every  steps between checkpoints
    validate_at       numbers of finished steps after which `validate` is called
    """

    steps: int
    batch: int
    learning_rate: float
    checkpoint_every: int
    validate_at: tuple[int, ...] = ()

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / min(WARM_UP, self.steps))
        return float(self.learning_rate * warm * (1 - step / self.steps) ** DECAY)


@dataclass
class History:
    """What was seen on the way.

    losses       of every step
    parts        unweighted values of every step, for each part of the objective
    validations  what validation said after some steps
    """

    losses: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    validations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, loss: float, parts: dict[str, float]) -> None:
        """Note one step."""
        self.losses.append(loss)
        for name, value in parts.items():
            self.parts.setdefault(name, []).append(value)


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step."""
    state = np.random.SeedSequence([seed, step]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))


def batch_of(source: Source, recipe: Recipe, size: int, generator: torch.Generator) -> Patch:
    """Patches of scans drawn at random, stacked: images (b, channels, x, y, z), targets and tubes (b, x, y, z)."""
    scans = torch.randint(len(source), (size,), generator=generator).tolist()
    images, targets, tubes = zip(*(draw(source[scan], recipe, generator) for scan in scans), strict=True)
    return Patch(torch.stack(images), torch.stack(targets), None if None in tubes else torch.stack(tubes))


def fit(
    network: nn.Module,
    source: Source,
    recipe: Recipe,
    schedule: Schedule,
    objective: Objective,
    *,
    spacing_mm: tuple[float, float, float],
    seed: int,
    device: torch.device,
    workspace: Workspace,
    validate: Callable[[nn.Module], dict[str, Any]] | None = None,
    progress: Callable[[Sequence[int]], Any] = iter,
) -> History:
    """Train `network` in place, from the last checkpoint where there is one."""
    network.to(device=device, memory_format=_layout(network)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=WEIGHT_DECAY)
    done, history = _resume(network, optimiser, workspace)
    for step in progress(range(done, schedule.steps)):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        batch = batch_of(source, recipe, schedule.batch, step_generator(seed, step))
        loss, parts = _update(network, optimiser, objective, batch, spacing_mm, device)
        if not np.isfinite(loss):
            raise SettingsError(
                f"training diverged: the loss of step {step} is {loss}; "
                f"lower learning_rate ({schedule.learning_rate:g})"
            )
        history.add(loss, parts)
        if validate and step + 1 in schedule.validate_at:
            network.eval()
            history.validations.append({"step": step + 1, **validate(network)})
            network.train()
        if (step + 1) % schedule.checkpoint_every == 0 and step + 1 < schedule.steps:
            _checkpoint(network, optimiser, workspace, step + 1, history)
    network.eval()
    return history


def _layout(network: nn.Module) -> torch.memory_format:
    """Channels last is faster for volumes; torch has it for networks whose convolutions are all 3D."""
    flat = any(weight.dim() == 4 for weight in network.parameters())
    return torch.contiguous_format if flat else torch.channels_last_3d


def _update(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    objective: Objective,
    batch: Patch,
    spacing_mm: tuple[float, float, float],
    device: torch.device,
) -> tuple[float, dict[str, float]]:
    images = batch.image.to(device=device, memory_format=_layout(network))
    truth = _truth(batch, spacing_mm, device)
    # bfloat16 has the range of float32: no loss scaling, hence no state beyond weights and moments.
    mixed = device.type == "cuda" and torch.cuda.is_bf16_supported()
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
        loss, parts = objective(network, images, truth)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT)
    optimiser.step()
    return float(loss.detach()), parts


def _truth(batch: Patch, spacing_mm: tuple[float, float, float], device: torch.device) -> Truth:
    target = batch.target.to(device)
    annotated = target != UNANNOTATED
    tube = None if batch.tube is None else batch.tube.to(device).long()
    return Truth(torch.where(annotated, target, 0).long(), annotated.float(), spacing_mm, tube)


def _checkpoint(
    network: nn.Module, optimiser: torch.optim.Optimizer, workspace: Workspace, done: int, history: History
) -> None:
    tensors = {f"network.{name}": tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": tensor.detach().cpu() for name, tensor in moments.items()}
    state = {"done": done, "history": asdict(history)}
    workspace.save(CHECKPOINT, tensors, state)


def _resume(network: nn.Module, optimiser: torch.optim.Optimizer, workspace: Workspace) -> tuple[int, History]:
    found = workspace.load(CHECKPOINT)
    if found is None:
        return 0, History()
    tensors, state = found
    network.load_state_dict({name: tensors[f"network.{name}"] for name in network.state_dict()})
    for index, weight in enumerate(network.parameters()):
        prefix = f"optimiser.{index}."
        moments = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        # In the weight's own memory layout: another order of the same numbers may be summed in another order.
        optimiser.state[weight] = {
            name: torch.empty_like(weight).copy_(t) if t.shape == weight.shape else t for name, t in moments.items()
        }
    return int(state["done"]), History(**state["history"])
