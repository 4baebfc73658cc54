"""Network architectures by name.

A model file holds an architecture's name and its arguments as JSON, never code. Each architecture is a
module here, or of an installed package that declares it under the entry points `voxfield.segmentation.networks`,
with two functions: `build(arguments)` checks the arguments, as they may come from a file, and makes the network,
(b, in_channels, x, y, z) -> logits (b, classes, x, y, z); `multiple(arguments)` says what the sides of a patch, along
x, y and z, must be multiples of.

A network that is trained otherwise than by Dice and cross entropy of its logits (one that tells connectivity, say)
brings its own loss, see `OwnLoss`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from voxfield.errors import InputError
from voxfield.plugins import find

if TYPE_CHECKING:
    import torch

    from voxfield.segmentation.losses import Truth

ARCHITECTURES = {
    "airwaynet": "voxfield.segmentation.networks._airwaynet",
    "connnet": "voxfield.segmentation.networks._connnet",
    "dynunet": "voxfield.segmentation.networks._dynunet",
    "unet": "voxfield.segmentation.networks._unet",
    "unet_gnn": "voxfield.segmentation.networks._unet_gnn",
}


@runtime_checkable
class OwnLoss(Protocol):
    """A network with a loss of its own; calling it gives `decode(outputs(images))`."""

    def outputs(self, images: "torch.Tensor") -> Any:
        """What the network says of images (b, in_channels, x, y, z), in the form that its loss wants."""
        ...

    def own_loss(self, outputs: Any, truth: "Truth") -> "torch.Tensor":
        """The loss ()."""
        ...

    def decode(self, outputs: Any) -> "torch.Tensor":
        """Class logits (b, classes, x, y, z), on which regularizers act."""
        ...


def _module(name: str) -> Any:
    return find("voxfield.segmentation.networks", ARCHITECTURES, name)


def build(name: str, arguments: Mapping[str, Any], *, seed: int = 0) -> "torch.nn.Module":
    """Make a network with weights drawn from `seed`; torch's global random state is left as it was.

    Raises InputError for an unknown name or arguments that do not fit.
    """
    import torch

    module = _module(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: torch.nn.Module = module.build(arguments)
    return network


def restore(name: str, arguments: Mapping[str, Any], weights: "Mapping[str, torch.Tensor]") -> "torch.nn.Module":
    """Make a network with given weights, ready for inference.

    The skeleton is made without memory first: a file that claims a huge network allocates nothing before
    its weights
    are found to fit. Raises InputError when they do not.
    """
    import torch

    with torch.device("meta"):
        network: torch.nn.Module = _module(name).build(arguments)
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    if expected != found:
        odd = min(key for key in {**expected, **found} if expected.get(key) != found.get(key))
        raise InputError(
            f"weights do not fit the architecture {name}: {odd} has shape {found.get(odd)}, "
            f"expected {expected.get(odd)}"
        )
    network.load_state_dict(dict(weights), assign=True)
    return network.eval().requires_grad_(False)


def multiple(name: str, arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """What the sides of a patch along x, y and z must be multiples of, voxels."""
    result: tuple[int, int, int] = _module(name).multiple(arguments)
    return result
