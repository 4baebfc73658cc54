"""Pairs in, learned operator out: scales, classical parameters and network, all from the samples that train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voxfield.pde.operators import build, network_arguments
from voxfield.pde.operators._contrast import fit_contrast
from voxfield.pde.operators._learned import LearnedOperator, Scales, places
from voxfield.pde.operators._symmetry import symmetries
from voxfield.pde.operators._training import Examples, Plan, Training
from voxfield.workspace import Workspace

if TYPE_CHECKING:
    from voxfield.pde.operators._pairs import Pairs
    from voxfield.pde.operators._problem import DarcyProblem

FITTED = 40  # samples that the two parameters of the classical row are fitted on


def fit(
    problem: DarcyProblem,
    pairs: Pairs,
    name: str,
    arguments: Mapping[str, Any],
    plan: Plan,
    *,
    device: torch.device,
    workspace: Workspace | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> tuple[LearnedOperator, list[float]]:
    """Train a network by name; the operator, and the loss of every step."""
    chosen = network_arguments(name, arguments)
    scales, source = Scales.of(pairs), problem.source(pairs.axes)
    contrast = fit_contrast(pairs.take(np.arange(min(FITTED, len(pairs)))), problem.grid(pairs.axes), source)
    network = build(name, 1, len(pairs.axes), chosen, seed=plan.seed)
    training = Training(network, examples(problem, pairs, scales), plan, device)
    averaged = training.run(workspace or Workspace(), progress)
    operator = LearnedOperator(averaged, name, chosen, problem, pairs.axes, scales, contrast)
    return operator, training.losses


def examples(problem: DarcyProblem, pairs: Pairs, scales: Scales) -> Examples:
    """Pairs as a training takes them."""
    solutions = torch.from_numpy((pairs.solutions / scales.size).astype(np.float32))[:, None]
    same = symmetries(pairs.axes, problem.box, problem.source(pairs.axes))
    return Examples(scales.network_inputs(pairs.inputs), solutions, places(pairs.axes, problem.box), same)
