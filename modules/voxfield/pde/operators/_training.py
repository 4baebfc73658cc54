"""Training on pairs: mean relative L2 error, a moving average of the weights, resumable to the bit.

The loss of Li et al. (arXiv 2010.08895), |u - v| / |v| averaged over samples. AdamW with a short warm-up and half a
cosine; the moving average is the result, and no step is chosen by looking at what is held out. What is random in a step
follows from (seed, step) alone, so that weights, average, moments and the step are the whole state of a checkpoint.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxfield import processes, sharing
from voxfield.errors import SettingsError
from voxfield.pde.operators import weights_of
from voxfield.pde.operators._symmetry import Symmetry
from voxfield.workspace import Workspace

CHECKPOINT = "training"
WARM_UP = 0.05  # of the steps
WEIGHT_DECAY = 1e-4
MAX_GRADIENT = 1.0


@dataclass(frozen=True)
class Plan:
    """How long and how fast.

    steps             updates of the weights
    batch             pairs of an update
    learning_rate     its highest value
    average           decay of the moving average of the weights
    checkpoint_every  steps between checkpoints
    seed              of the draws
    """

    steps: int
    batch: int
    learning_rate: float
    average: float
    checkpoint_every: int
    seed: int

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm = max(round(WARM_UP * self.steps), 1)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (self.steps - warm)))


@dataclass(frozen=True)
class Examples:
    """What is learnt from.

    inputs      (n, 1, *grid)  as the network takes them
    solutions   (n, 1, *grid)  in any unit
    places      (dims, *grid)
    symmetries  under which pairs remain pairs
    """

    inputs: Tensor
    solutions: Tensor
    places: Tensor
    symmetries: Sequence[Symmetry]

    def draw(self, plan: Plan, step: int) -> tuple[Tensor, Tensor]:
        """The pairs of a step: every one once an epoch, all of a step under one symmetry."""
        count = min(plan.batch, len(self.inputs))
        steps = len(self.inputs) // count  # of an epoch
        epoch, place = divmod(step, steps)
        rows = _rng(plan.seed, 0, epoch).permutation(len(self.inputs))[place * count : (place + 1) * count]
        symmetry = self.symmetries[int(_rng(plan.seed, 1, step).integers(len(self.symmetries)))]
        return symmetry(self.inputs[rows]), symmetry(self.solutions[rows])


class Training:
    """One training in progress: the network, its average, the optimiser, the step and the losses."""

    def __init__(self, network: nn.Module, examples: Examples, plan: Plan, device: torch.device) -> None:
        self.examples, self.plan, self.device = examples, plan, device
        self.network = network.to(device).train()
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=plan.learning_rate, weight_decay=WEIGHT_DECAY, foreach=True
        )
        self.step = 0
        self.losses: list[float] = []

    def run(self, workspace: Workspace, progress: Callable[[range], Iterable[int]] = iter) -> nn.Module:
        """Train to the end, from the last checkpoint where there is one; the averaged network."""
        processes.join(self.device)
        sharing.require_rowwise(self.network)
        self._restore(workspace)
        processes.require_same_step(self.step)
        for step in progress(range(self.step, self.plan.steps)):
            self.losses.append(self.advance(step))
            self.step = step + 1
            if self.step % self.plan.checkpoint_every == 0 and self.step < self.plan.steps and processes.rank() == 0:
                self._save(workspace)
        return self.average

    def advance(self, step: int) -> float:
        """One update; its loss. Raises SettingsError where the training diverged."""
        inputs, known = (part.to(self.device) for part in self.examples.draw(self.plan, step))
        places = self.examples.places.to(self.device)
        loss = relative_error(sharing.shared(lambda rows: self.network(rows, places), inputs), known)
        if not torch.isfinite(loss):
            raise SettingsError(
                f"training diverged: the loss of step {step} is {float(loss.detach())}; "
                f"lower learning_rate ({self.plan.learning_rate:g})"
            )
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate(step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        sharing.average_gradients(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT)
        self.optimiser.step()
        decay = min(self.plan.average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
        return float(loss.detach())

    def _save(self, workspace: Workspace) -> None:
        tensors = {f"network.{name}": tensor for name, tensor in weights_of(self.network).items()}
        tensors |= {f"average.{name}": tensor for name, tensor in weights_of(self.average).items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"moments.{index}.{name}": tensor for name, tensor in moments.items()}
        plain = {
            name: (torch.view_as_real(tensor) if tensor.is_complex() else tensor).cpu().clone()
            for name, tensor in tensors.items()
        }
        workspace.save(CHECKPOINT, plain, {"step": self.step, "losses": self.losses})

    def _restore(self, workspace: Workspace) -> None:
        found = workspace.load(CHECKPOINT)
        if found is None:
            return
        tensors, state = found
        with torch.no_grad():
            for part, network in (("network", self.network), ("average", self.average)):
                for name, weight in network.named_parameters():
                    weight.copy_(_like(weight, tensors[f"{part}.{name}"]))
        for index, weight in enumerate(self.network.parameters()):
            prefix = f"moments.{index}."
            moments = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            self.optimiser.state[weight] = {
                name: t if t.ndim == 0 else _like(weight, t).to(self.device) for name, t in moments.items()
            }
        self.step, self.losses = int(state["step"]), list(state["losses"])


def relative_error(found: Tensor, known: Tensor) -> Tensor:
    """Mean over samples of |found - known| / |known|, fields (b, 1, *grid)."""
    return ((found - known).flatten(1).norm(dim=1) / known.flatten(1).norm(dim=1)).mean()


def _like(weight: Tensor, stored: Tensor) -> Tensor:
    return torch.view_as_complex(stored) if weight.is_complex() else stored


def _rng(*seeds: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seeds))
