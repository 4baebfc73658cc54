"""Trainings of every algorithm, for `test_grading_processes`: `python -m grading.shared_trainings FOLDER`.

Each process writes FOLDER/<rank>.safetensors: by name of a training, its averaged weights.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from voxfield import processes
from voxfield.grading import augment
from voxfield.grading.algorithms import ALGORITHMS
from voxfield.grading.components import make
from voxfield.grading.losses.ordinal import Ordinal
from voxfield.grading.networks import build
from voxfield.grading.pretraining.crops import Crops
from voxfield.grading.pretraining.peac import Peac
from voxfield.grading.rows import TrainingSet
from voxfield.grading.schedule import Method, Plan
from voxfield.grading.trainer import Training
from voxfield.workspace import Workspace

CPU = torch.device("cpu")
NETWORK = {"name": "convolutional", "dims": 2, "channels": [4, 8], "features": 2, "hidden": 4, "grades": 3}
KNEE = {**NETWORK, "name": "siamese", "dropout": 0.5}
PLAN = Plan(4, 4, 1e-2, 1e-2, 0.9, augment.strong(0.1, 0.1, 0.1), (0,), 2, 7)
Progress = Callable[[range], Iterable[int]]


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def data(count: int = 24, side: int = 16) -> TrainingSet:
    """Images whose brightness is the grade; half of the grades are unknown."""
    generator = torch.Generator().manual_seed(0)
    grades = torch.arange(count) % 3
    images = torch.rand(count, 1, side, side, generator=generator) + grades[:, None, None, None]
    features = torch.randn(count, 2, generator=generator)
    return TrainingSet(images, features, torch.where(torch.arange(count) < count // 2, grades, -1), 3, values=2)


def training(algorithm: Any, network: dict[str, Any] = NETWORK, plan: Plan = PLAN, judge: Any = None) -> Training:
    """One that has not begun."""
    made = algorithm if not isinstance(algorithm, str) else make("algorithms", ALGORITHMS, algorithm, [])
    config = {**network, "normalised": made.normalised_embedding}
    return Training(build(config, 7), Method(made, Ordinal()), data(), plan, CPU, judge)


def weights(run: Training, workspace: Workspace | None = None, progress: Progress = iter) -> Tensor:
    """All that the averaged network has learnt, as one row."""
    result = run.run(workspace or Workspace(), progress)
    return torch.cat([weight.flatten() for weight in result.parameters()]).detach()


def stopped(todo: range) -> Iterable[int]:
    """The steps before the fourth."""
    for step in todo:
        if step == 3:
            raise Killed
        yield step


def resumed(folder: Path) -> Tensor:
    """A training that was killed after its checkpoint, and went on."""
    try:
        weights(training("simmatchv2"), Workspace(folder), stopped)
    except Killed:
        return weights(training("simmatchv2"), Workspace(folder))
    raise AssertionError("was not stopped")


def early() -> Tensor:
    """A training that stops at its second check; only the first process judges."""
    patient = replace(PLAN, steps=8, patience=1)
    return weights(training("supervised", plan=patient, judge=lambda network: float(processes.rank()) or 1.0))


def all_trainings(folder: Path) -> dict[str, Tensor]:
    """By name, what each training ends with; in double precision, where rounding hides nothing."""
    torch.set_default_dtype(torch.float64)
    found = {name: weights(training(name)) for name in sorted(ALGORITHMS)}
    found["siamese"] = weights(training("fixmatch", KNEE))
    found["pretraining"] = weights(training(peac()))
    found["early"] = early()
    return {**found, "resumed": resumed(folder)}


def peac() -> Peac:
    """Pre-training of the network."""
    network = build({**NETWORK, "normalised": False}, 7)
    crops = Crops.fit((16, 16), network.stride)
    maps = network.trunk(torch.zeros(1, 1, *(side * network.stride for side in crops.side)))
    return Peac(crops, maps.shape[1], network.pool(maps).shape[1], (0,))


if __name__ == "__main__":
    processes.join(CPU)
    place = Path(sys.argv[1])
    save_file(all_trainings(place / "work"), place / f"{processes.rank()}.safetensors")
    processes.leave()
