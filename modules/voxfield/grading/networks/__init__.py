"""Networks of the grading family, built by name from a JSON-ready configuration.

A network is a `torch.nn.Module` with `embed(image, features) -> (n, width)`, a `head` from that to log-probabilities
(n, grades), `forward(image, features)`, which is both in turn, and the number `width`. What can be pre-trained has a
`trunk`, a `pool` and a `stride` (see `base`). A new one is one file and one line in NETWORKS, or an entry point; its
own keyword arguments with a default are its options, whose bounds are written as for the settings of a stage.
"""

import inspect
from collections.abc import Sequence
from typing import Any, get_type_hints

from voxfield.grading.components import parse_options
from voxfield.plugins import find

GROUP = "voxfield.grading.networks"
NETWORKS = {
    "convolutional": "voxfield.grading.networks.convolutional:GradeNet",
    "residual": "voxfield.grading.networks.residual:ResidualNet",
    "siamese": "voxfield.grading.networks.siamese:SiameseNet",
}
HEADS = {
    "softmax": "voxfield.grading.networks.heads:SoftmaxHead",
    "ordered": "voxfield.grading.networks.heads:OrderedHead",
    "coral": "voxfield.grading.networks.heads:CoralHead",
    "corn": "voxfield.grading.networks.heads:CornHead",
}
SETTINGS = ("head_name",)  # have a setting of their own


def build(config: dict[str, Any], seed: int) -> Any:
    """A freshly initialised network; the same seed gives the same weights.

    config  {"name": ..., and the keyword arguments of that network}; with "normalised": True what its head sees has
            mean 0 and variance 1 in every row
    """
    import torch

    options = dict(config)
    normalised = options.pop("normalised", False)
    network = find(GROUP, NETWORKS, options.pop("name"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = network(**options)
    if normalised:
        made.head = torch.nn.Sequential(torch.nn.LayerNorm(made.width, elementwise_affine=False), made.head)
    return made


def network_options(name: str, options: Sequence[str]) -> dict[str, Any]:
    """Options such as `depth=2` of a network by name, as `build` takes them; a wrong one raises SettingsError."""
    found = find(GROUP, NETWORKS, name)
    hints = get_type_hints(found.__init__, include_extras=True)
    given = [p for p in inspect.signature(found).parameters.values() if p.default is not p.empty]
    known = {p.name: (hints.get(p.name, Any), p.default) for p in given if p.name not in SETTINGS}
    return parse_options(f"network {name!r}", known, options)


def head(name: str, width: int, grades: int) -> Any:
    """A head by name: a module from (n, width) to log-probabilities (n, grades)."""
    return find("voxfield.grading.heads", HEADS, name)(width, grades)
