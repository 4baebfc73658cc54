"""Neural operators: networks that map the input field of an equation to its solution, on any grid.

A network is a `torch.nn.Module` with `forward(values (b, c, *grid), places (dims, *grid)) -> (b, 1, *grid)`, where the
places are coordinates from 0 to 1 over the box, and with `one_spacing`: whether it is right at the spacing that it was
trained on only, and wants other grids resampled. Its keyword-only arguments, bounded as the settings of a stage, are
what a model file holds of it. A new one is a class and a line in NETWORKS, or an entry point of the group
`voxfield.pde.operators`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from voxfield.errors import InputError
from voxfield.plugins import find
from voxfield.settings import SettingsModel

if TYPE_CHECKING:
    from torch import Tensor, nn

GROUP = "voxfield.pde.operators"
NETWORKS = {
    "fno": "voxfield.pde.operators._fno:FourierOperator",
    "lsm": "voxfield.pde.operators._lsm:LatentSpectralModel",
    "neuralop_fno": "voxfield.pde.operators._neuralop:NeuralopFNO",
}


def network_arguments(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a network, defaults filled in. Raises SettingsError, a line a mistake."""
    made = find(GROUP, NETWORKS, name)
    hints = get_type_hints(made.__init__, include_extras=True)
    own = [p for p in inspect.signature(made).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return SettingsModel(f"network {name}", {p.name: (hints[p.name], p.default) for p in own}).validate(given)


def build(name: str, channels: int, dims: int, arguments: Mapping[str, Any], *, seed: int = 0) -> nn.Module:
    """A network of `channels` input fields on grids of `dims` axes; torch's global random state is left as it was."""
    import torch

    if dims not in (2, 3):
        raise InputError(f"the fields have {dims} axes of space; networks work on 2 or 3")
    made = find(GROUP, NETWORKS, name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = made(channels, dims, **network_arguments(name, arguments))
    return network


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """What training changed, by name; complex numbers as pairs of real ones, which every file can hold."""
    import torch

    parameters = {name: one.detach() for name, one in network.named_parameters()}
    return {name: torch.view_as_real(one) if one.is_complex() else one for name, one in parameters.items()}


def restore(
    name: str, channels: int, dims: int, arguments: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> nn.Module:
    """A network with given weights, ready to predict.

    It is made without memory first: a file that claims a huge network allocates nothing before its weights are found to
    fit. Raises InputError where they do not.
    """
    import torch

    with torch.device("meta"):
        network = build(name, channels, dims, arguments)
    expected = {key: tuple(tensor.shape) for key, tensor in weights_of(network).items()}
    found = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    if expected != found:
        odd = min(key for key in {**expected, **found} if expected.get(key) != found.get(key))
        raise InputError(
            f"weights do not fit the network {name}: {odd} has shape {found.get(odd)}, expected {expected.get(odd)}"
        )
    made = dict(network.named_parameters())
    own = {key: torch.view_as_complex(weights[key]) if made[key].is_complex() else weights[key] for key in made}
    network.load_state_dict(own, strict=False, assign=True)
    return network.eval().requires_grad_(False)
