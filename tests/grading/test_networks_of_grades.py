"""Networks by name: what each promises, and what its structure implies."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from grading.cohorts import tubes
from voxfield.artifacts import Image
from voxfield.context import Context
from voxfield.errors import SettingsError
from voxfield.grading import predict, train
from voxfield.grading.networks import NETWORKS, build, network_options
from voxfield.grading.networks.residual import Block
from voxfield.grading.networks.siamese import RowsThenColumn, compartments

CASES = [(name, dims) for name in sorted(NETWORKS) for dims in (2, 3) if (name, dims) != ("siamese", 3)]


def config(name: str, dims: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "dims": dims, "channels": [4, 8], "features": 3, "hidden": 4, "grades": 5, **more}


def inputs(dims: int, count: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (count, 1, 16, 12, 10)[: dims + 2]
    return torch.randn(shape, generator=generator), torch.randn(count, 3, generator=generator)


@pytest.mark.parametrize(("name", "dims"), CASES)
@pytest.mark.parametrize("head", ["softmax", "ordered"])
def test_a_network_is_embedding_and_head(name: str, dims: int, head: str) -> None:
    network = build(config(name, dims, head_name=head), seed=3).eval()
    image, features = inputs(dims)
    embedding = network.embed(image, features)
    assert embedding.shape == (3, network.width)
    output = network(image, features)
    torch.testing.assert_close(output, network.head(embedding))
    torch.testing.assert_close(output.exp().sum(1), torch.ones(3))
    # one scan's grade does not depend on what else is in the batch
    torch.testing.assert_close(output[:1], network(image[:1], features[:1]))


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_same_seed_same_weights_and_json_is_enough(name: str, dims: int) -> None:
    made = config(name, dims)
    first, again = build(made, seed=3), build(json.loads(json.dumps(made)), seed=3)
    other = build(made, seed=4).state_dict()
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key])
    assert any(not torch.equal(tensor, other[key]) for key, tensor in first.state_dict().items())


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_every_weight_learns(name: str, dims: int) -> None:
    network = build(config(name, dims), seed=3)
    image, features = inputs(dims)
    (network(image, features) * torch.randn(3, 5)).sum().backward()
    for key, weight in network.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().max() > 0, key


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_maps_move_with_the_image_by_whole_cells(name: str, dims: int) -> None:
    """Moving an image by `stride` moves the maps by one cell, away from the border: what pre-training relies on."""
    network = build(config(name, dims), seed=3).eval()
    for module in network.trunk.modules():  # normalisation sees the whole image, border and all
        if isinstance(module, torch.nn.GroupNorm | torch.nn.InstanceNorm2d):
            module.forward = lambda maps: maps
    stride, cells = network.stride, 12
    image = torch.randn(1, 1, *[stride * cells] * dims, generator=torch.Generator().manual_seed(0))
    whole = network.trunk(image)
    assert whole.shape[2:] == (cells,) * dims
    moved = network.trunk(image[:, :, stride:])
    inner = (slice(None), slice(None), slice(4, 8), *[slice(4, 8)] * (dims - 1))
    back = (slice(None), slice(None), slice(3, 7), *[slice(4, 8)] * (dims - 1))
    torch.testing.assert_close(whole[inner], moved[back])


def test_a_residual_block_adds_to_its_shortcut() -> None:
    maps = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    block = Block(2, 4, 4, 1, 4)
    torch.testing.assert_close(block(maps) - block.inner(maps), maps)
    # odd sides: the shortcut has as many cells as the convolution, and means of constants are constant
    halved = Block(3, 4, 4, 2, 4)
    ones = torch.ones(1, 4, 5, 4, 3)
    torch.testing.assert_close(halved(ones) - halved.inner(ones), torch.ones(1, 4, 3, 2, 2))


def test_depth_adds_blocks() -> None:
    blocks = [
        sum(isinstance(m, Block) for m in build(config("residual", 2, depth=depth), seed=0).modules())
        for depth in (1, 2)
    ]
    assert blocks == [2, 4]


def test_compartments_by_hand() -> None:
    image = torch.arange(8.0)[:, None].expand(8, 6)[None, None] + 10 * torch.arange(6.0)
    low, high = compartments(image, 0.5)
    assert low[0, 0, :, 0].tolist() == [10, 11, 12, 13]  # four of six rows, around the middle
    assert high[0, 0, :, 0].tolist() == [17, 16, 15, 14]
    low, high = compartments(image, 1.0)
    assert low.shape == high.shape == (1, 1, 8, 6)
    torch.testing.assert_close(low, high.flip(2))


def test_hv_pooling_by_hand() -> None:
    pool = RowsThenColumn(2)
    with torch.no_grad():
        pool.mix.weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 2.0]])[:, :, None])
        pool.mix.bias.zero_()
    maps = torch.tensor([[[3.0, 0.0], [1.0, 5.0]], [[4.0, 1.0], [0.0, 2.0]]])[None]
    # the largest along x: (3, 5) and (4, 2); mixed: (-1, 3) and (8, 4); the largest of each: 3 and 8
    assert pool(maps).tolist() == [[3, 8]]


def test_a_mirrored_knee_swaps_its_compartments() -> None:
    network = build(config("siamese", 2, features=0), seed=3).eval()
    image = torch.randn(2, 1, 16, 12, generator=torch.Generator().manual_seed(0))
    first, second = network.embed(image, None).chunk(2, dim=1)
    mirrored = network.embed(image.flip(2), None)
    torch.testing.assert_close(mirrored, torch.cat([second, first], dim=1))
    assert not torch.allclose(first, second)


def test_what_a_siamese_network_can_not_see_is_told() -> None:
    with pytest.raises(SettingsError, match="these are volumes"):
        build(config("siamese", 3), seed=0)
    with pytest.raises(SettingsError, match="none are given"):
        build(config("siamese", 0), seed=0)
    small = build(config("siamese", 2, channels=[4, 4, 4, 4], features=0), seed=0)
    with pytest.raises(SettingsError, match=r"patches of 8 cells.*too small for 4 levels; expected 9 or more"):
        small(torch.zeros(1, 1, 14, 14), None)
    assert small(torch.zeros(1, 1, 16, 16), None).shape == (1, 5)


def test_options_of_a_network_are_read_and_judged() -> None:
    assert network_options("residual", ["depth=3", "groups=2"]) == {"depth": 3, "groups": 2}
    assert network_options("siamese", ["patch=1"]) == {"patch": 1.0}
    with pytest.raises(SettingsError, match="network 'siamese': setting 'depht' is unknown"):
        network_options("siamese", ["depht=3"])
    with pytest.raises(SettingsError, match="expected int"):
        network_options("residual", ["depth=deep"])
    for name, option in (
        ("siamese", "patch=1.5"), ("siamese", "dropout=1"), ("residual", "depth=0"), ("convolutional", "groups=0"),
    ):  # fmt: skip
        with pytest.raises(SettingsError, match=option.partition("=")[0]):
            network_options(name, [option])
    with pytest.raises(SettingsError, match="groups is 3 and a stage has 4 channels"):
        build(config("residual", 2, groups=3), seed=0)
    with pytest.raises(SettingsError, match="nearest known one is 'residual'"):
        network_options("residuals", [])


@pytest.mark.parametrize(("name", "options"), [("residual", ("depth=2",)), ("siamese", ("patch=0.6",))])
def test_a_model_is_used_with_the_network_that_it_was_trained_with(name: str, options: tuple[str, ...]) -> None:
    cohort, volumes, _ = tubes(24, labelled=0.9, grades=3)
    images = [Image(np.ascontiguousarray(v.data[:, :, :1]), v.affine) for v in volumes]
    quick: dict[str, Any] = {"steps": 4, "batch": 4, "cells": 12, "channels": (4, 8), "bootstrap": 20}
    ctx = Context(seed=1, device="cpu")
    model = train(cohort, images, network=name, network_options=options, **quick, ctx=ctx).model
    assert model.architecture == name
    assert sum(predict(images[0], model, ctx=ctx).grade.values["probabilities"]) == pytest.approx(1)
    if name == "siamese":
        with pytest.raises(SettingsError, match="these are volumes"):
            train(cohort, volumes, network=name, **quick, ctx=ctx)
