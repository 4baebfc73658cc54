"""What the trainer gives to an algorithm, and what it wants back."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from voxfield.errors import SettingsError
from voxfield.plugins import find
from voxfield.settings import unknown_key

Kind = Literal["weak", "strong"]


@dataclass(frozen=True)
class Inputs:
    """What the network sees of some rows.

    image     (n, 1, x, y[, z]) normalised, or None
    features  (n, f) standardised values, then missing flags, or None
    rows      (n,) places in the training set, for algorithms with memory banks
    """

    image: Tensor | None
    features: Tensor | None
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Batch:
    """One step's rows, still without a view.

    labelled    rows with a grade         target  (n, k) their one-hot grades
    unlabelled  rows without a grade, or None where the cohort has none
    progress    share of the training that is done, 0..1, for ramps
    """

    labelled: Inputs
    target: Tensor
    unlabelled: Inputs | None
    progress: float


@dataclass(frozen=True)
class Nets:
    """The network that learns, its moving average, and the views of this step.

    student, teacher  modules: `f(image, features) -> log-probabilities`, `f.embed(image, features)`
    view              a random weak or strong view of some inputs
    generator         random numbers of this step, on the CPU
    """

    student: Any
    teacher: Any
    view: Callable[[Inputs, Kind], Inputs]
    generator: torch.Generator


class Algorithm:
    """Base of all algorithms: subclasses are dataclasses whose fields are their options.

    unlabelled_ratio  unlabelled rows of a batch for each labelled one; 0 if the algorithm uses none
    """

    unlabelled_ratio: int = 0

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, a scalar, and figures for the log."""
        raise NotImplementedError

    def tensors(self) -> dict[str, Tensor]:
        """State that a checkpoint must hold (memory banks); empty for algorithms without one."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state of a checkpoint back."""


def make(registry: Mapping[str, str], name: str, options: Sequence[str]) -> Algorithm:
    """An algorithm by name, with options such as `window=0.9`; a wrong option raises SettingsError."""
    kind = find("voxfield.grading.algorithms", registry, name)
    known = {f.name: f for f in fields(kind)}
    values: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals:
            raise SettingsError(f"option {option!r} of algorithm {name!r}: write name=value")
        if key not in known:
            raise SettingsError(f"algorithm {name!r}: {unknown_key(key, known)}")
        values[key] = _parse(name, key, text, known[key].default)
    algorithm: Algorithm = kind(**values)
    return algorithm


def _parse(name: str, key: str, text: str, default: Any) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    wanted = float if isinstance(default, float) else type(default)
    if default is not MISSING and wanted is float and type(value) is int:
        value = float(value)
    if default is not MISSING and type(value) is not wanted:
        expected = f"expected {wanted.__name__}, as {default!r}"
        message = f"option {key!r} of algorithm {name!r} is {text!r}; {expected}"
        raise SettingsError(message)
    return value


def forward(net: Any, inputs: Inputs) -> Tensor:
    """Log-probabilities (n, k) of some inputs."""
    result: Tensor = net(inputs.image, inputs.features)
    return result


def join(first: Inputs, second: Inputs) -> Inputs:
    """Two sets of rows as one, so that the network runs once."""
    image, features = _cat(first.image, second.image), _cat(first.features, second.features)
    return Inputs(image, features, torch.cat([first.rows, second.rows]))


def _cat(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else torch.cat([first, second])
