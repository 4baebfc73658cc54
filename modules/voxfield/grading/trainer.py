"""The one training loop of the family: every algorithm runs in it; a killed run ends with the same bytes.

Each step draws its rows and views from a generator that is seeded by (seed, step) alone, so a checkpoint
needs no random state: weights, their moving average, the optimiser's moments and the step say everything.
AdamW with linear warm-up and cosine decay; the moving average of the weights is the result. No step is chosen by
looking at scores, unless `patience` asks for it: then the moving average is judged every so often, on patients who do
not train, and that of the best check is the result.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from voxfield import processes, sharing
from voxfield.errors import SettingsError
from voxfield.grading import augment
from voxfield.grading.algorithms.base import Batch, Inputs, Kind, Nets
from voxfield.grading.components import Component, Sizes
from voxfield.grading.losses.ordinal import one_hot
from voxfield.grading.rows import TrainingSet, on
from voxfield.grading.schedule import Method, Plan, chances, draw, draw_by_chance, optimiser, schedule, step_seed
from voxfield.grading.shared_network import together
from voxfield.workspace import Workspace

CHECKPOINT = "checkpoint"


@dataclass
class Best:
    """The moving average that scored best so far; lower scores are better."""

    score: float = math.inf
    step: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


class Training:
    """One training in progress: network, average, optimiser, step and log.

    judge  score of a network on patients who do not train, lower is better; used where the plan has patience
    """

    def __init__(
        self,
        network: Any,
        method: Method,
        data: TrainingSet,
        plan: Plan,
        device: Any,
        judge: Callable[[Any], float] | None = None,
    ) -> None:
        self.plan, self.method, self.device = plan, method, device
        self.judge = judge if plan.patience else None
        self.data = replace(data, images=on(data.images, device), features=on(data.features, device))
        self.labelled = torch.nonzero(data.grades >= 0).flatten()
        self.student = network.to(device).train()
        self.parts = _parts(self.components, data, data.sizes(network), plan.seed).to(device).train()
        self.teacher, self.teacher_parts = (
            copy.deepcopy(module).requires_grad_(False).eval() for module in (self.student, self.parts)
        )
        self.optimiser = optimiser(self.student, self.parts, plan)
        self.step = 0
        self.best = Best()
        self.log: list[dict[str, float]] = []

    @property
    def components(self) -> dict[str, Component]:
        """The algorithm and the loss, by the name that their state has in a checkpoint."""
        return {"algorithm": self.method.algorithm, "loss": self.method.loss}

    def run(self, workspace: Workspace, progress: Callable[[range], Iterable[int]]) -> Any:
        """Train to the end, from the last checkpoint where there is one; returns the averaged network."""
        processes.join(self.device)
        sharing.require_rowwise(self.student)
        self.restore(workspace)
        processes.require_same_step(self.step)
        for step in progress(range(self.step, self.plan.steps)):
            figures = self.advance(step)
            self.step = step + 1
            last = self.step == self.plan.steps
            if step % max(self.plan.steps // 20, 1) == 0 or last:
                self.log.append({"step": float(step), **figures})
            if self.step % self.plan.every == 0 or last:
                self._check()
                if self._stale():
                    break
                if not last and processes.rank() == 0:
                    self.save(workspace)
        if self.best.weights:
            self.teacher.load_state_dict(self.best.weights)
        return self.teacher

    def advance(self, step: int) -> dict[str, float]:
        """One optimiser step."""
        seed = step_seed(self.plan.seed, step)
        generator = torch.Generator().manual_seed(seed)
        batch = self._batch(step, generator)
        with _seeded(seed, self.device):  # dropout draws from torch's own generator
            loss, figures = self.method.algorithm.loss(batch, self._nets(generator))
        if not torch.isfinite(loss):
            raise SettingsError(
                f"training diverged: the loss of step {step} is {float(loss.detach())}; "
                f"lower learning_rate, now {self.plan.learning_rate}"
            )
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * schedule(step, self.plan.steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for module in (self.student, self.parts):
            sharing.average_gradients(module)
        self.optimiser.step()
        self._follow(step)
        return {"loss": float(loss.detach()), **figures}

    def _nets(self, generator: torch.Generator) -> Nets:
        parts, teacher_parts = (dict(held.items()).get("algorithm") for held in (self.parts, self.teacher_parts))
        return Nets(
            together(self.student),
            together(self.teacher),
            lambda inputs, kind: self._view(inputs, kind, generator),
            self.method.loss,
            generator,
            together(parts),
            together(teacher_parts),
        )

    def _check(self) -> None:
        """Judge the moving average, and keep it where it is the best so far."""
        if self.judge is None:
            return
        score = processes.agreed(self.judge(self.teacher) if processes.rank() == 0 else None)
        if score < self.best.score:
            weights = {name: tensor.detach().clone() for name, tensor in self.teacher.state_dict().items()}
            self.best = Best(score, self.step, weights)

    def _stale(self) -> bool:
        return self.judge is not None and self.step - self.best.step >= self.plan.patience * self.plan.every

    def save(self, workspace: Workspace) -> None:
        """Write a checkpoint."""
        tensors = {f"student.{k}": v for k, v in self.student.state_dict().items()}
        tensors |= {f"teacher.{k}": v for k, v in self.teacher.state_dict().items()}
        tensors |= {f"parts.{k}": v for k, v in self.parts.state_dict().items()}
        tensors |= {f"teacher_parts.{k}": v for k, v in self.teacher_parts.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.weights.items()}
        for name, component in self.components.items():
            tensors |= {f"{name}.{k}": v for k, v in component.tensors().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"moments.{index}.{k}": v for k, v in moments.items()}
        # Copies on the CPU: safetensors refuses tensors that share memory.
        plain = {k: v.detach().cpu().clone() for k, v in tensors.items()}
        best = {"score": self.best.score, "step": self.best.step} if self.best.weights else None
        workspace.save(CHECKPOINT, plain, {"step": self.step, "log": self.log, "best": best})

    def restore(self, workspace: Workspace) -> None:
        """Continue from the last checkpoint, if there is one."""
        found = workspace.load(CHECKPOINT)
        if found is None:
            return
        tensors, state = found
        self.student.load_state_dict(_below(tensors, "student."))
        self.teacher.load_state_dict(_below(tensors, "teacher."))
        self.parts.load_state_dict(_below(tensors, "parts."))
        self.teacher_parts.load_state_dict(_below(tensors, "teacher_parts."))
        for name, component in self.components.items():
            component.restore(_below(tensors, f"{name}."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below(tensors, "moments.").items():
            index, _, key = name.partition(".")
            moments.setdefault(int(index), {})[key] = tensor
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        self.step, self.log = int(state["step"]), list(state["log"])
        if state["best"] is not None:
            self.best = Best(float(state["best"]["score"]), int(state["best"]["step"]), _below(tensors, "best."))

    def _batch(self, step: int, generator: torch.Generator) -> Batch:
        known = self._labelled_rows(generator)
        target = one_hot(self.data.grades[known], self.data.count).to(self.device)
        ratio = self.method.algorithm.unlabelled_ratio
        unlabelled = None
        if ratio and len(self.labelled) < len(self.data.grades):
            rows = draw(len(self.data.grades), ratio * self.plan.batch, generator)
            unlabelled = self.data.take(rows)
        return Batch(self.data.take(known), target, unlabelled, step / self.plan.steps)

    def _labelled_rows(self, generator: torch.Generator) -> Tensor:
        if not self.plan.balance:
            return self.labelled[draw(len(self.labelled), self.plan.batch, generator)]
        chance = chances(self.data.grades[self.labelled], self.plan.balance)
        return self.labelled[draw_by_chance(chance, self.plan.batch, generator)]

    def _view(self, inputs: Inputs, kind: Kind, generator: torch.Generator) -> Inputs:
        how = {"weak": augment.WEAK, "cutout": augment.CUTOUT, "strong": self.plan.strength}[kind]
        image, features = inputs.image, inputs.features
        if image is not None:
            image = augment.view_images(image, how, self.plan.mirror, generator)
        if features is not None:
            features = augment.view_features(features, self.data.values, how, generator)
        return Inputs(image, features, inputs.rows)

    def _follow(self, step: int) -> None:
        decay = min(self.plan.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for average, module in ((self.teacher, self.student), (self.teacher_parts, self.parts)):
                for mean, value in zip(average.parameters(), module.parameters(), strict=True):
                    mean.lerp_(value, 1 - decay)


def _parts(components: Mapping[str, Component], data: TrainingSet, sizes: Sizes, seed: int) -> Any:
    """The modules of the components that have one, by the component's name."""
    with _seeded(step_seed(seed, -1 % 2**32), torch.device("cpu")):
        made = {name: component.begin(data.labels, sizes) for name, component in components.items()}
    return torch.nn.ModuleDict({name: module for name, module in made.items() if module is not None})


@contextmanager
def _seeded(seed: int, device: Any) -> Iterator[None]:
    """Torch's own generators seeded, and given back as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
