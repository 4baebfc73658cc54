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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfield.errors import SettingsError
from voxfield.grading import augment
from voxfield.grading.algorithms.base import Algorithm, Batch, Inputs, Kind, Nets
from voxfield.grading.components import Component, Labels, Sizes
from voxfield.grading.losses.base import LabelLoss
from voxfield.grading.losses.ordinal import one_hot
from voxfield.workspace import Workspace

CHECKPOINT = "checkpoint"
# Adam moves a parameter by at most about the learning rate a step. Thresholds and slope of the head have to
# travel several units within a few hundred steps, or the grades in the middle stay in doubt: it moves faster.
HEAD_RATE = 5.0


@dataclass(frozen=True)
class TrainingSet:
    """Rows to learn from.

    images    (n, c, x, y[, z]) or None
    features  (n, f) or None: `values` standardised values, then missing flags
    grades    (n,) integers, -1 where unlabelled
    count     number of grades
    readers   (n,) number of the reader who gave the grade, or None
    """

    images: Tensor | None
    features: Tensor | None
    grades: Tensor
    count: int
    values: int = 0
    readers: Tensor | None = None

    @property
    def labels(self) -> Labels:
        """What is known of the rows."""
        return Labels(self.grades, self.readers, self.count)

    def sizes(self, network: Any) -> Sizes:
        """For components, beside this network."""
        shape = None if self.images is None else tuple(self.images.shape[2:])
        channels = 1 if self.images is None else int(self.images.shape[1])
        features = 0 if self.features is None else self.features.shape[1]
        return Sizes(network.width, self.count, shape, features, channels, network)

    def take(self, rows: Tensor) -> Inputs:
        """The inputs of some rows."""
        image = None if self.images is None else self.images[rows]
        return Inputs(image, None if self.features is None else self.features[rows], rows)


@dataclass(frozen=True)
class Plan:
    """How long and how hard to train.

    steps, batch     optimiser steps; labelled rows a step
    learning_rate    at its peak           weight_decay  of AdamW
    average          decay of the moving average of the weights, reached after a short ramp
    strength         of the strong view    mirror        see `augment.view_images`
    every            steps between two checkpoints, and between two checks
    patience         checks without a better one, after which training stops; 0: no checks
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    average: float
    strength: augment.Strength
    mirror: tuple[int, ...]
    every: int
    seed: int
    patience: int = 0


@dataclass(frozen=True)
class Method:
    """What is optimised: an algorithm, and what its labelled rows cost."""

    algorithm: Algorithm
    loss: LabelLoss


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
        self.data = replace(data, images=_to(data.images, device), features=_to(data.features, device))
        self.labelled = torch.nonzero(data.grades >= 0).flatten()
        self.student = network.to(device).train()
        self.parts = _parts(self.components, data, data.sizes(network), plan.seed).to(device).train()
        self.teacher, self.teacher_parts = (
            copy.deepcopy(module).requires_grad_(False).eval() for module in (self.student, self.parts)
        )
        self.optimiser = _optimiser(self.student, self.parts, plan)
        self.step = 0
        self.best = Best()
        self.log: list[dict[str, float]] = []

    @property
    def components(self) -> dict[str, Component]:
        """The algorithm and the loss, by the name that their state has in a checkpoint."""
        return {"algorithm": self.method.algorithm, "loss": self.method.loss}

    def run(self, workspace: Workspace, progress: Callable[[range], Iterable[int]]) -> Any:
        """Train to the end, from the last checkpoint where there is one; returns the averaged network."""
        self.restore(workspace)
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
                if not last:
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
        self.optimiser.step()
        self._follow(step)
        return {"loss": float(loss.detach()), **figures}

    def _nets(self, generator: torch.Generator) -> Nets:
        parts, teacher_parts = (dict(held.items()).get("algorithm") for held in (self.parts, self.teacher_parts))
        return Nets(
            self.student,
            self.teacher,
            lambda inputs, kind: self._view(inputs, kind, generator),
            self.method.loss,
            generator,
            parts,
            teacher_parts,
        )

    def _check(self) -> None:
        """Judge the moving average, and keep it where it is the best so far."""
        if self.judge is None:
            return
        score = self.judge(self.teacher)
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
        known = self.labelled[draw(len(self.labelled), self.plan.batch, generator)]
        target = one_hot(self.data.grades[known], self.data.count).to(self.device)
        ratio = self.method.algorithm.unlabelled_ratio
        unlabelled = None
        if ratio and len(self.labelled) < len(self.data.grades):
            rows = draw(len(self.data.grades), ratio * self.plan.batch, generator)
            unlabelled = self.data.take(rows)
        return Batch(self.data.take(known), target, unlabelled, step / self.plan.steps)

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


def infer(
    network: Any, data: TrainingSet, device: Any, size: int = 64
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-probabilities (n, k) and embeddings (n, d) of all rows."""
    outputs, embeddings = [], []
    for start in range(0, len(data.grades), size):
        part = data.take(torch.arange(start, min(start + size, len(data.grades))))
        with torch.no_grad():
            embedding = network.embed(_to(part.image, device), _to(part.features, device))
            outputs.append(network.head(embedding).cpu().double().numpy())
        embeddings.append(embedding.cpu().double().numpy())
    return np.concatenate(outputs), np.concatenate(embeddings)


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


def _optimiser(network: Any, parts: Any, plan: Plan) -> Any:
    networks = [network, *(part for part in parts.values() if hasattr(part, "head"))]
    heads = [p for one in networks for p in one.head.parameters()]
    known = {id(p) for p in heads}
    body = [p for p in (*network.parameters(), *parts.parameters()) if id(p) not in known]
    groups = ((HEAD_RATE * plan.learning_rate, 0.0, heads), (plan.learning_rate, plan.weight_decay, body))
    return torch.optim.AdamW(
        [{"params": p, "lr": rate, "peak": rate, "weight_decay": decay} for rate, decay, p in groups]
    )


def schedule(step: int, steps: int, warm: float = 0.1) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to 1 %."""
    ramp = max(round(warm * steps), 1)
    if step < ramp:
        return (step + 1) / ramp
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - ramp) / max(steps - ramp, 1)))


def draw(size: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` rows out of `size`, without repetition as far as they go."""
    rounds = [torch.randperm(size, generator=generator) for _ in range(-(-count // size))]
    return torch.cat(rounds)[:count]


def step_seed(seed: int, step: int) -> int:
    """A seed of its own for each step; hashing keeps the streams of neighbouring seeds apart."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _to(tensor: Tensor | None, device: Any) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
