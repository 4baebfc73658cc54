"""Connectivity cubes by hand and by their defining identities; graph means by brute force; the networks in use."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from voxfield.artifacts import Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.segmentation import predict, train
from voxfield.segmentation.losses import Truth
from voxfield.segmentation.networks import OwnLoss, _cube, _graph, build

SURE = 20.0  # a logit that stands for certainty


def truth(target: torch.Tensor, weight: torch.Tensor | None = None) -> Truth:
    return Truth(target, torch.ones(target.shape) if weight is None else weight, (1.0, 1.0, 1.0))


def blobs(shape: tuple[int, ...], share: float, seed: int) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share).float()


def without_isolated(mask: torch.Tensor) -> torch.Tensor:
    found = np.argwhere(mask[0].numpy())
    apart = np.abs(found[:, None] - found).max(-1) + 2 * np.eye(len(found), dtype=int)
    kept = torch.zeros_like(mask)
    for p in found[(apart <= 1).any(1)]:
        kept[(0, *p)] = 1
    return kept


def test_a_pair_of_voxels_by_hand() -> None:
    mask = torch.zeros(1, 3, 3, 3)
    mask[0, 0, 0, 0] = mask[0, 1, 1, 0] = 1
    offsets = _cube.neighbours(3)
    cube = _cube.label(mask, offsets)
    assert len(offsets) == 26
    assert all(tuple(-c for c in offsets[-1 - i]) == offset for i, offset in enumerate(offsets))
    found = {(offsets[i], (x, y, z)) for _, i, x, y, z in cube.nonzero().tolist()}
    assert found == {((1, 1, 0), (0, 0, 0)), ((-1, -1, 0), (1, 1, 0))}


@pytest.mark.parametrize(("dims", "shape"), [(3, (6, 5, 7)), (2, (9, 8, 1))])
def test_decoding_an_exact_cube_gives_the_mask_without_isolated_voxels(dims: int, shape: tuple[int, ...]) -> None:
    offsets = _cube.neighbours(dims)
    for seed in range(5):
        mask = blobs((1, *shape), 0.15, seed)
        cube = (2 * _cube.label(mask, offsets) - 1) * SURE
        logits = _cube.decode(cube, offsets, 2)
        assert torch.equal(logits.argmax(1).float(), without_isolated(mask))


def test_decoding_is_the_vote_on_thresholded_channels() -> None:
    offsets = _cube.neighbours(3)
    cube = torch.randn(1, 26, 5, 5, 5, generator=torch.Generator().manual_seed(1))
    said = cube[0] > 0
    voted = torch.zeros(5, 5, 5, dtype=torch.bool)
    for p in product(range(5), repeat=3):
        for i, d in enumerate(offsets):
            q = tuple(a + b for a, b in zip(p, d, strict=True))
            if all(0 <= a < 5 for a in q):
                voted[p] |= said[(i, *p)] & said[(25 - i, *q)]
    assert torch.equal(_cube.decode(cube, offsets, 2).argmax(1)[0].bool(), voted)


def test_classes_have_their_own_channels() -> None:
    offsets = _cube.neighbours(3)
    target = torch.zeros(1, 8, 6, 6, dtype=torch.int64)
    target[0, :3, 2:4, 2:4], target[0, 4:, 2:4, 2:4] = 1, 2
    per_class = torch.stack([_cube.label((target == k).float(), offsets) for k in (1, 2)], dim=1)
    cube = ((2 * per_class - 1) * SURE).flatten(1, 2)
    assert torch.equal(_cube.decode(cube, offsets, 3).argmax(1), target)
    assert float(_cube.loss(cube, truth(target), offsets)) == pytest.approx(0, abs=1e-4)


def test_unannotated_voxels_have_no_say_in_the_cube() -> None:
    offsets = _cube.neighbours(3)
    weight = blobs((1, 5, 5, 5), 0.5, 4)
    cube = torch.randn(1, 26, 5, 5, 5, generator=torch.Generator().manual_seed(2), requires_grad=True)
    target = blobs((1, 5, 5, 5), 0.5, 3).long()
    _cube.loss(cube, truth(target, weight), offsets).backward()
    assert cube.grad is not None
    assert not cube.grad[_cube.label(weight, offsets) == 0].any()
    assert torch.isfinite(_cube.loss(cube, truth(target, torch.zeros_like(weight)), offsets))


def test_regular_mean_by_brute_force() -> None:
    x = torch.randn(1, 2, 3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.zeros_like(x)
    places = list(product(range(3), range(4), range(2)))
    for p in places:
        near = [q for q in places if q != p and max(abs(a - b) for a, b in zip(p, q, strict=True)) <= 1]
        expected[(0, slice(None), *p)] = torch.stack([x[(0, slice(None), *q)] for q in near]).mean(0)
    torch.testing.assert_close(_graph.regular_mean(x), expected)


def test_dynamic_mean_by_brute_force_and_blind_to_place() -> None:
    x = torch.randn(2, 3, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    nodes = x.flatten(2)
    expected = torch.zeros_like(nodes)
    for b, i in product(range(2), range(24)):
        distance = (nodes[b] - nodes[b, :, i : i + 1]).norm(dim=0)
        others = [j for j in distance.argsort().tolist() if j != i][:5]
        expected[b, :, i] = nodes[b][:, others].mean(1)
    torch.testing.assert_close(_graph.dynamic_mean(x, 5).flatten(2), expected)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    shuffled = nodes[..., order].reshape(x.shape)
    torch.testing.assert_close(_graph.dynamic_mean(shuffled, 5).flatten(2), expected[..., order])


def test_a_lonely_node_hears_nothing() -> None:
    assert not _graph.dynamic_mean(torch.ones(1, 2, 1, 1, 1), 8).any()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("airwaynet", {}),
        ("connnet", {"reach": 2}),
        ("unet_gnn", {"adjacency": "regular"}),
        ("unet_gnn", {"adjacency": "dynamic", "neighbours": 3}),
        ("unet", {}),
    ],
)
@pytest.mark.parametrize("dims", [2, 3])
def test_shapes_and_gradients_in_2d_and_3d(name: str, arguments: dict[str, Any], dims: int) -> None:
    shape = (16, 8, 1) if dims == 2 else (16, 8, 8)
    full = {"in_channels": 2, "classes": 3, "channels": [4, 6, 8], "dims": dims, **arguments}
    network = build(name, full).train()
    images = torch.randn(2, 2, *shape)
    logits = network(images)
    assert logits.shape == (2, 3, *shape)
    if isinstance(network, OwnLoss):
        network.own_loss(network.outputs(images), truth(torch.randint(3, (2, *shape)))).backward()
    else:
        logits.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def tube(seed: int, shape: tuple[int, int, int]) -> tuple[Image, LabelMap]:
    mask = np.zeros(shape, dtype=np.uint8)
    mask[8:14, :, 8:14] = 1
    noise = np.random.default_rng(seed).normal(0, 0.3, mask.shape)
    return Image((mask + noise).astype(np.float32), np.eye(4)), LabelMap(mask, np.eye(4))


@pytest.mark.parametrize(("name", "steps"), [("airwaynet", 120), ("connnet", 60), ("unet_gnn", 60)])
def test_every_network_learns_a_tube(name: str, steps: int) -> None:
    image, mask = tube(0, (24, 24, 24))
    cohort = Cohort({"subject": ["a"], "split": ["train"]})
    settings: dict[str, Any] = {"steps": steps, "patch": (16, 16, 16), "channels": (6, 12), "architecture": name}
    model = train(cohort, [image], [mask], **settings, ctx=Context(device="cpu")).model
    other, exact = tube(1, (24, 24, 24))
    found = predict(other, model, ctx=Context(device="cpu")).mask.data > 0
    dice = 2 * (found & (exact.data > 0)).sum() / (found.sum() + exact.data.sum())
    assert dice > 0.85


def test_flat_images_train_a_flat_network() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((48, 48, 1), dtype=np.uint8)
    mask[20:28] = 1
    image = Image((mask + rng.normal(0, 0.3, mask.shape)).astype(np.float32), np.eye(4))
    cohort = Cohort({"subject": ["a"], "split": ["train"]})
    settings: dict[str, Any] = {"steps": 40, "patch": (32, 32, 1), "channels": (6, 12), "arguments": {"dims": 2}}
    model = train(cohort, [image], [LabelMap(mask, np.eye(4))], **settings, ctx=Context(device="cpu")).model
    found = predict(image, model, ctx=Context(device="cpu")).mask.data > 0
    assert 2 * (found & (mask > 0)).sum() / (found.sum() + mask.sum()) > 0.9
