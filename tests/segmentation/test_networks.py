"""Networks by name: arguments from files are judged, weights must fit, no global state moves."""

from typing import Any

import pytest
import torch

from voxfield.errors import InputError
from voxfield.segmentation import networks

UNET: dict[str, Any] = {"in_channels": 1, "classes": 3, "channels": [4, 8, 8], "units": 0}
DYNUNET: dict[str, Any] = {"in_channels": 1, "classes": 2, "channels": [4, 8, 8]}


@pytest.mark.parametrize(("name", "arguments"), [("unet", UNET), ("dynunet", DYNUNET)])
def test_restored_network_computes_the_same(name: str, arguments: dict[str, Any]) -> None:
    network = networks.build(name, arguments, seed=3).eval()
    shape = [4 * side for side in networks.multiple(name, arguments)]
    x = torch.randn(2, 1, *shape)
    restored = networks.restore(name, arguments, network.state_dict())
    with torch.no_grad():
        out = network(x)
        assert torch.equal(restored(x), out)
    assert out.shape == (2, arguments["classes"], *shape)


def test_weights_follow_the_seed_and_leave_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (networks.build("unet", UNET, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("resnet", {}, "'resnet' is unknown; the nearest known one is"),
        ("unet", {"channels": [4, 10**9]}, "channels"),
        ("unet", {"channels": "48"}, "channels"),
        ("unet", {"channels": [4]}, "2 to 8 integers"),
        ("unet", {"classes": True}, "classes"),
        ("unet", {"dropout": 0.5}, "'dropout' is unknown"),
        ("dynunet", {"channels": [4, 8]}, "expected 3 or more"),
        ("dynunet", {"units": 1}, "'units' is unknown"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name: str, change: dict[str, Any], words: str) -> None:
    arguments = {**(DYNUNET if name == "dynunet" else UNET), **change}
    with pytest.raises(InputError, match=words):
        networks.build(name, arguments)


def test_weights_that_do_not_fit_are_refused_before_memory_is_taken() -> None:
    weights = networks.build("unet", UNET).state_dict()
    huge = {**UNET, "channels": [1024] * 8}  # 0.9 billion weights, were they allocated
    with pytest.raises(InputError, match="do not fit the architecture unet"):
        networks.restore("unet", huge, weights)
    key = next(iter(weights))
    del weights[key]
    with pytest.raises(InputError, match="has shape None"):
        networks.restore("unet", UNET, weights)
