"""Networks of the grading family, built by name from a JSON-ready configuration.

A network is a `torch.nn.Module` with `embed(image, features) -> (n, width)`, a `head` from that to log-probabilities
(n, grades), `forward(image, features)`, which is both in turn, and the number `width`. A new one is one file and one
line in NETWORKS, or an entry point.
"""

from typing import Any

from voxfield.plugins import find

NETWORKS = {"convolutional": "voxfield.grading.networks.convolutional:GradeNet"}
HEADS = {
    "softmax": "voxfield.grading.networks.heads:SoftmaxHead",
    "ordered": "voxfield.grading.networks.heads:OrderedHead",
}


def build(config: dict[str, Any], seed: int) -> Any:
    """A freshly initialised network; the same seed gives the same weights.

    config  {"name": ..., and the keyword arguments of that network}
    """
    import torch

    options = dict(config)
    network = find("voxfield.grading.networks", NETWORKS, options.pop("name"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network(**options)


def head(name: str, width: int, grades: int) -> Any:
    """A head by name: a module from (n, width) to log-probabilities (n, grades)."""
    return find("voxfield.grading.heads", HEADS, name)(width, grades)
