"""What algorithms and label losses have in common: options, modules that learn, state that a checkpoint must hold.

A component is a dataclass whose fields are its options, so they have types, defaults and names that a mistake can be
told by; bounds are written as for the settings of a stage, `alpha: Annotated[float, Gt(0)] = 0.2`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, get_type_hints

from torch import Tensor

from voxfield.errors import SettingsError
from voxfield.plugins import find
from voxfield.settings import SettingsModel, unknown_key


@dataclass(frozen=True)
class Labels:
    """What is known of the rows of a training set.

    grades   (n,) integers, -1 where unlabelled
    readers  (n,) number of the reader who gave the grade, from 0; None where the cohort tells no readers apart
    count    number of grades
    """

    grades: Tensor
    readers: Tensor | None
    count: int


@dataclass(frozen=True)
class Sizes:
    """Of the network and its inputs.

    embedding  width of what the head sees            grades    their number
    image      shape of an image on the network's grid, (x, y[, z]), or None
    features   entries of a feature row, 0 for none   channels  of an image
    network    the network itself, for an algorithm that needs another of its form
    """

    embedding: int
    grades: int
    image: tuple[int, ...] | None
    features: int
    channels: int = 1
    network: Any = None


class Component:
    """Base of algorithms and label losses."""

    def begin(self, labels: Labels, sizes: Sizes) -> Any:
        """Make ready for a training set; returns a `torch.nn.Module` to be trained beside the network, or None.

        Called once, with torch's generator seeded, before the first step and before `restore`. The module joins the
        optimiser, the moving average and the checkpoints.
        """
        return None

    def tensors(self) -> dict[str, Tensor]:
        """State beyond the module that a checkpoint must hold (memory banks)."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state of a checkpoint back."""


def make(kind: str, registry: Mapping[str, str], name: str, options: Sequence[str]) -> Any:
    """A component by name, with options such as `window=0.9`; a wrong option raises SettingsError.

    kind  "algorithms" or "losses", which is also the end of the group of entry points
    """
    found = find(f"voxfield.grading.{kind}", registry, name)
    one = kind.removesuffix("s") if kind == "algorithms" else "loss"
    hints = get_type_hints(found, include_extras=True)
    values = parse_options(f"{one} {name!r}", {f.name: (hints[f.name], f.default) for f in fields(found)}, options)
    return found(**values)


def parse_options(owner: str, known: Mapping[str, tuple[Any, Any]], options: Sequence[str]) -> dict[str, Any]:
    """Values of options such as `window=0.9`; a wrong one raises SettingsError.

    owner  whose they are, for messages
    known  name -> annotated type and default, which is dataclasses.MISSING where there is none
    """
    values: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals:
            raise SettingsError(f"option {option!r} of {owner}: write name=value")
        if key not in known:
            raise SettingsError(f"{owner}: {unknown_key(key, known)}")
        values[key] = _parse(f"{key!r} of {owner}", text, known[key][1])
    return SettingsModel(owner, {key: known[key] for key in values}).validate(values)


def _parse(place: str, text: str, default: Any) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    wanted = float if isinstance(default, float) else type(default)
    if default is not MISSING and wanted is float and type(value) is int:
        value = float(value)
    if default is not MISSING and type(value) is not wanted:
        expected = f"expected {wanted.__name__}, as {default!r}"
        raise SettingsError(f"option {place} is {text!r}; {expected}")
    return value
