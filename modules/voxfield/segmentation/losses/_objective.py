"""A training objective: the network's own loss plus any weighted sum of regularizers.

Every regularizer is a class with one signature, `term(logits, truth) -> ()`, so that any of them acts on any network:

    loss = base(logits, truth) + sum_k weight_k term_k(logits, truth)

A configuration names them: `{"cldice": 0.5, "skeleton_recall": {"weight": 1.0, ...arguments}}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from voxfield.errors import SettingsError
from voxfield.plugins import find
from voxfield.segmentation.losses._dice_ce import dice_cross_entropy
from voxfield.segmentation.losses._truth import Truth
from voxfield.segmentation.networks import OwnLoss
from voxfield.settings import unknown_key
from voxfield.sharing import gathered

REGULARIZERS: dict[str, str] = {
    "boundary": "voxfield.segmentation.losses._boundary:Boundary",
    "cldice": "voxfield.segmentation.losses._cldice:SoftClDice",
    "connectivity": "voxfield.segmentation.losses._connectivity:Connectivity",
    "hausdorff": "voxfield.segmentation.losses._hausdorff:Hausdorff",
    "persistence": "voxfield.segmentation.losses._persistence:Persistence",
    "scope": "voxfield.segmentation.losses._scope:Scope",
    "skeleton_recall": "voxfield.segmentation.losses._skeleton_recall:SkeletonRecall",
}
Config = Mapping[str, float | Mapping[str, Any]]


class Regularizer(Protocol):
    """A frozen dataclass whose fields are its arguments, numbers or words with defaults.

    needs_tube  whether it reads `Truth.tube`
    """

    needs_tube: ClassVar[bool]

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        """Value of the term, (), differentiable in the logits.

        logits  (b, c, x, y, z) float32, class 0 is background
        """
        ...


@dataclass(frozen=True)
class Objective:
    """A sum of losses.

    terms  name -> weight and regularizer
    """

    terms: Mapping[str, tuple[float, Regularizer]] = field(default_factory=dict)

    @property
    def needs_tube(self) -> bool:
        """Whether any term reads the widened skeleton."""
        return any(term.needs_tube for _, term in self.terms.values())

    def __call__(self, network: nn.Module, images: Tensor, truth: Truth) -> tuple[Tensor, dict[str, float]]:
        """Loss () of a batch, and the unweighted value of each part by name.

        images  (b, channels, x, y, z), of several processes each its part
        truth   of the whole batch
        """
        if isinstance(network, OwnLoss):
            outputs = _gathered(network.outputs(images))
            loss = network.own_loss(outputs, truth)
            logits = network.decode(outputs) if self.terms else None
        else:
            logits = gathered(network(images))
            loss = dice_cross_entropy(logits, truth.target, truth.weight)
        parts = {"base": float(loss.detach())}
        if logits is None:
            return loss, parts
        with torch.autocast(images.device.type, enabled=False):  # counts over a patch overflow half precision
            for name, (weight, term) in self.terms.items():
                value = term(logits.float(), truth)
                loss = loss + weight * value
                parts[name] = float(value.detach())
        return loss, parts


def _gathered(outputs: Any) -> Any:
    return [gathered(each) for each in outputs] if isinstance(outputs, list) else gathered(outputs)


def objective(config: Config) -> Objective:
    """Read a configuration: name -> weight, or name -> table of `weight` and the regularizer's arguments.

    Raises SettingsError for an unknown name or argument, and for a weight that is not positive.
    """
    return Objective({name: _term(name, entry) for name, entry in config.items()})


def _term(name: str, entry: float | Mapping[str, Any]) -> tuple[float, Regularizer]:
    kind = find("voxfield.segmentation.regularizers", REGULARIZERS, name)
    arguments = dict(entry) if isinstance(entry, Mapping) else {"weight": entry}
    weight = arguments.pop("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
        raise SettingsError(f"regularizer {name!r} has the weight {weight!r}; expected a number above 0")
    known = {f.name: f.default for f in fields(kind)} if is_dataclass(kind) else {}
    for key, value in arguments.items():
        if key not in known:
            raise SettingsError(f"regularizer {name!r}: {unknown_key(key, [*known, 'weight'])}")
        wanted = type(known[key])
        if not (type(value) is wanted or (wanted is float and type(value) is int)):
            raise SettingsError(
                f"regularizer {name!r}: {key} is {value!r}; expected {wanted.__name__}, as {known[key]!r}"
            )
    term: Regularizer = kind(**arguments)
    return float(weight), term
