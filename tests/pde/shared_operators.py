"""Trainings of learned operators, for `test_operator_processes`: `python -m pde.shared_operators FOLDER`.

Each process writes FOLDER/<rank>.safetensors: by name of a training, its averaged weights.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pde.darcy import darcy, pairs
from voxfield import processes
from voxfield.pde.operators import build, weights_of
from voxfield.pde.operators._fit import examples
from voxfield.pde.operators._learned import Scales
from voxfield.pde.operators._pairs import read_pairs
from voxfield.pde.operators._training import Plan, Training
from voxfield.workspace import Workspace

CPU = torch.device("cpu")
NETWORKS: dict[str, dict[str, Any]] = {
    "fno": {"width": 8, "modes": 3, "layers": 2},
    "lsm": {"width": 8, "levels": 2, "patch": 2},
}
PLAN = Plan(steps=5, batch=3, learning_rate=0.01, average=0.9, checkpoint_every=2, seed=7)


def trained(name: str, folder: Path | None = None, plan: Plan = PLAN) -> Tensor:
    """All averaged weights as one row, in double precision; two processes do not share 3 pairs evenly."""
    problem = darcy()
    known = read_pairs(*pairs(), problem.box)
    given = examples(problem, known, Scales.of(known))
    double = {name: getattr(given, name).double() for name in ("inputs", "solutions", "places")}
    network = build(name, 1, 2, NETWORKS[name], seed=plan.seed)
    training = Training(network, replace(given, **double), plan, CPU)
    weights = weights_of(training.run(Workspace(folder))).values()
    return torch.cat([(torch.view_as_real(w) if w.is_complex() else w).flatten() for w in weights])


def all_trainings(folder: Path) -> dict[str, Tensor]:
    """By name, what each training ends with."""
    torch.set_default_dtype(torch.float64)
    found = {name: trained(name) for name in NETWORKS}
    trained("fno", folder)  # leaves the checkpoint of its fourth step
    return {**found, "resumed": trained("fno", folder)}


if __name__ == "__main__":
    processes.join(CPU)
    place = Path(sys.argv[1])
    save_file(all_trainings(place / "work"), place / f"{processes.rank()}.safetensors")
    processes.leave()
