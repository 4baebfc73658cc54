"""The optimisation itself: losses of steps in, weights out, resumable to the bit.

AdamW (Loshchilov and Hutter, ICLR 2019) with a short linear warm-up and the polynomial decay of nnU-Net,
lr(k) = lr (1 - k/K)^0.9. All that is random in step k follows from (seed, k) alone, and the learning rate
from k, so that weights, the optimiser's moments and k are the whole state: a training that was killed goes
on from its last checkpoint and ends with the same bytes as one that was not.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxfield import processes, sharing
from voxfield.errors import SettingsError
from voxfield.workspace import Workspace

WARM_UP = 20  # steps
DECAY = 0.9
WEIGHT_DECAY = 1e-2
MAX_GRADIENT = 12.0  # norm at which gradients are clipped, as nnU-Net does
CHECKPOINT = "training"
StepLoss = Callable[[int], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    steps             updates of the weights
    learning_rate     its highest value
    checkpoint_every  steps between checkpoints
    validate_at       numbers of finished steps after which `validate` is called
    """

    steps: int
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
    parts        unweighted values of every step, for each part of the loss
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

    def curves(self, bins: int = 100) -> dict[str, list[float]]:
        """Means over at most 100 stretches of steps, each named by its last step; parts where there are several."""
        steps = len(self.losses)
        ends = sorted({-(-steps * k // bins) for k in range(1, bins + 1)})
        bounds = list(zip([0, *ends], ends, strict=False))
        series = {"loss": self.losses, **(self.parts if len(self.parts) > 1 else {})}
        means = {name: [sum(values[a:b]) / (b - a) for a, b in bounds] for name, values in series.items()}
        return {"step": [float(end) for end in ends], **means}


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step."""
    state = np.random.SeedSequence([seed, step]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where a GPU has it: the range of float32, so no loss scaling and no state beyond weights and moments."""
    mixed = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed)


def layout(network: nn.Module) -> torch.memory_format:
    """Channels last is faster for volumes; torch has it for networks whose convolutions are all 3D."""
    flat = any(weight.dim() == 4 for weight in network.parameters())
    return torch.contiguous_format if flat else torch.channels_last_3d


def optimise(
    network: nn.Module,
    loss_of: StepLoss,
    schedule: Schedule,
    *,
    device: torch.device,
    workspace: Workspace,
    validate: Callable[[nn.Module], dict[str, Any]] | None = None,
    progress: Callable[[Sequence[int]], Any] = iter,
) -> History:
    """Train `network` in place, from the last checkpoint where there is one.

    loss_of  the loss () of a step, counted from 0, with its parts by name; what it draws follows from the step alone
    """
    processes.join(device)
    sharing.require_rowwise(network)
    network.to(device=device, memory_format=layout(network)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=WEIGHT_DECAY)
    done, history = _resume(network, optimiser, workspace)
    processes.require_same_step(done)
    for step in progress(range(done, schedule.steps)):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        loss, parts = _update(network, optimiser, loss_of, step)
        if not np.isfinite(loss):
            raise SettingsError(
                f"training diverged: the loss of step {step} is {loss}; "
                f"lower learning_rate ({schedule.learning_rate:g})"
            )
        history.add(loss, parts)
        if processes.rank() > 0:
            continue
        if validate and step + 1 in schedule.validate_at:
            network.eval()
            history.validations.append({"step": step + 1, **validate(network)})
            network.train()
        if (step + 1) % schedule.checkpoint_every == 0 and step + 1 < schedule.steps:
            _checkpoint(network, optimiser, workspace, step + 1, history)
    network.eval()
    return history


def _update(
    network: nn.Module, optimiser: torch.optim.Optimizer, loss_of: StepLoss, step: int
) -> tuple[float, dict[str, float]]:
    loss, parts = loss_of(step)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    sharing.average_gradients(network)
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT)
    optimiser.step()
    return float(loss.detach()), parts


def _checkpoint(
    network: nn.Module, optimiser: torch.optim.Optimizer, workspace: Workspace, done: int, history: History
) -> None:
    tensors = {f"network.{name}": tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": tensor.detach().cpu() for name, tensor in moments.items()}
    workspace.save(CHECKPOINT, tensors, {"done": done, "history": asdict(history)})


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
