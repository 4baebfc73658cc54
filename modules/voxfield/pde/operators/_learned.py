"""A trained operator: a network with its scales and its grid, as an artifact and as a map of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voxfield.artifacts import Model, Problem
from voxfield.errors import InputError
from voxfield.pde.operators import network_arguments, restore, weights_of
from voxfield.pde.operators._contrast import Contrast
from voxfield.pde.operators._problem import DarcyProblem, darcy_problem
from voxfield.pde.operators._resample import resample, resample_solutions

if TYPE_CHECKING:
    from torch import Tensor, nn

    from voxfield.pde.operators._pairs import Pairs
    from voxfield.pde.problem import Box
    from voxfield.pde.problem.operator import Array

FAMILY = "pde.operators"
BATCH = 64
FAR = 0.5  # of the range of training inputs, beyond which a prediction is told to be one of something else


@dataclass(frozen=True)
class Scales:
    """Inputs become (input - mean) / sd, solutions are multiples of `size`; what the network was shown at most."""

    mean: float
    sd: float
    size: float
    least: float
    most: float

    @classmethod
    def of(cls, pairs: Pairs) -> Scales:
        """Those of the samples that train; numbers, not fields, so that they hold on any grid."""
        inputs = pairs.inputs
        spread = float(inputs.std())
        if spread == 0:
            raise InputError(f"the inputs are {inputs.flat[0]:g} everywhere; there is nothing to learn from")
        size = float(np.sqrt(np.mean(np.square(pairs.solutions))))
        return cls(float(inputs.mean()), spread, size, float(inputs.min()), float(inputs.max()))

    def network_inputs(self, inputs: Array) -> Tensor:
        """(n, *grid) -> (n, 1, *grid) float32."""
        return torch.from_numpy(((inputs - self.mean) / self.sd).astype(np.float32))[:, None]


@dataclass(frozen=True)
class LearnedOperator:
    """From an input field to the solution.

    name, arguments  of the network
    problem          whose solutions it gives
    axes             points it was trained on
    scales           of its inputs and outputs
    contrast         from its inputs to the conductivity of the classical discretisation
    """

    network: nn.Module
    name: str
    arguments: Mapping[str, Any]
    problem: DarcyProblem
    axes: tuple[Array, ...]
    scales: Scales
    contrast: Contrast

    def predict(self, inputs: Array, axes: Sequence[Array], device: torch.device) -> Array:
        """Solutions (n, *grid) of inputs of the same shape, on any points of the box.

        A network that knows one spacing only gets what it was trained on, and its answer is interpolated.
        """
        other = len(axes) != len(self.axes) or any(
            a.shape != b.shape or not np.allclose(a, b) for a, b in zip(axes, self.axes, strict=True)
        )
        if self.network.one_spacing and other:
            found = self._run(resample(inputs, axes, self.axes), self.axes, device)
            return resample_solutions(found, self.axes, axes, self.problem.box)
        return self._run(inputs, axes, device)

    def _run(self, inputs: Array, axes: Sequence[Array], device: torch.device) -> Array:
        network, where = self.network.to(device), places(axes, self.problem.box).to(device)
        with torch.inference_mode():
            parts = [network(part.to(device), where).cpu() for part in self.scales.network_inputs(inputs).split(BATCH)]
        return np.asarray(torch.cat(parts)[:, 0].numpy() * self.scales.size, dtype=np.float64)

    def unfamiliar(self, inputs: Array) -> str:
        """How inputs differ from those of training; "" where they do not by much."""
        low, high = float(inputs.min()), float(inputs.max())
        slack = FAR * (self.scales.most - self.scales.least)
        if low >= self.scales.least - slack and high <= self.scales.most + slack:
            return ""
        return f"inputs are {low:.4g} to {high:.4g}; the network was trained on {self.scales.least:.4g} to " + (
            f"{self.scales.most:.4g}"
        )

    def to_model(self, training: Mapping[str, Any], licence: str) -> Model:
        """As a file."""
        config = {
            "problem": _plain(self.problem.statement), "arguments": dict(self.arguments),
            "axes": [points.tolist() for points in self.axes], "scales": asdict(self.scales),
            "contrast": asdict(self.contrast), "training": dict(training),
        }  # fmt: skip
        weights = weights_of(self.network)
        return Model(weights, config, family=FAMILY, architecture=self.name, licence=licence)

    @classmethod
    def from_model(cls, model: Model) -> LearnedOperator:
        """From a file. Raises InputError where it is of another family, or its network can not be made."""
        if model.family != FAMILY:
            raise InputError(f"is a model of {model.family}; expected one of pde.operator_train", file=model.file)
        config = model.config
        missing = [key for key in ("problem", "axes", "arguments", "scales", "contrast") if key not in config]
        if missing:
            raise InputError(f"its configuration lacks {', '.join(missing)}; train it again", file=model.file)
        problem = darcy_problem(Problem(config["problem"]))
        axes = tuple(np.asarray(points, dtype=float) for points in config["axes"])
        arguments = network_arguments(model.architecture, config["arguments"])
        network = restore(model.architecture, 1, len(axes), arguments, model.weights)
        return cls(
            network, model.architecture, arguments, problem, axes,
            Scales(**config["scales"]), Contrast(**config["contrast"]),
        )  # fmt: skip


def places(axes: Sequence[Array], box: Box) -> Tensor:
    """Coordinates (dims, *grid) from 0 to 1 over a box, float32."""
    parts = [(points - axis.low) / axis.length for points, axis in zip(axes, box.axes, strict=True)]
    return torch.from_numpy(np.stack(np.meshgrid(*parts, indexing="ij")).astype(np.float32))


def _plain(value: Any) -> Any:
    """Lists for tuples, as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
