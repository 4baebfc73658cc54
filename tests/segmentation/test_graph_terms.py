"""Skeleton recall, connectivity and SCOPE by hand."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from voxfield.errors import InputError, SettingsError
from voxfield.segmentation.losses import Truth, objective
from voxfield.segmentation.losses._connectivity import Connectivity
from voxfield.segmentation.losses._scope import Scope, shape_graph
from voxfield.segmentation.losses._skeleton_recall import SkeletonRecall


def line(told: list[float], target: list[int], spacing_mm: float = 1.0, weight: list[int] | None = None):  # type: ignore[no-untyped-def]
    """Voxels along z; the target is its own tube."""
    probability = torch.tensor(told, dtype=torch.float64).view(1, 1, 1, -1)
    logits = torch.stack([torch.zeros_like(probability), probability.logit()], dim=1)
    annotated = torch.tensor(weight or [1] * len(told), dtype=torch.float32).view(1, 1, 1, -1)
    labels = torch.tensor(target).view(1, 1, 1, -1)
    return logits, Truth(labels, annotated, (1.0, 1.0, spacing_mm), labels)


def test_recall_by_hand() -> None:
    logits, truth = line([0.9, 0.5, 0.25, 0.75], [0, 1, 1, 1])
    assert SkeletonRecall()(logits, truth).item() == pytest.approx(1 - (0.5 + 0.25 + 0.75 + 1) / (3 + 1))
    logits, truth = line([0.9, 0.5, 0.25, 0.75], [0, 1, 1, 1], weight=[1, 1, 0, 1])
    assert SkeletonRecall()(logits, truth).item() == pytest.approx(1 - (0.5 + 0.75 + 1) / (2 + 1))


def test_recall_is_the_mean_over_classes() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], dtype=torch.float64)).T.view(1, 3, 2, 1, 1)
    labels = torch.tensor([1, 2]).view(1, 2, 1, 1)
    truth = Truth(labels, torch.ones(1, 2, 1, 1), (1.0, 1.0, 1.0), labels)
    assert SkeletonRecall()(logits, truth).item() == pytest.approx(1 - (1.5 / 2 + 1.8 / 2) / 2)


def test_terms_on_the_tube_want_one() -> None:
    logits, truth = line([0.5, 0.5], [1, 1])
    bare = Truth(truth.target, truth.weight, truth.spacing_mm)
    for term in (SkeletonRecall(), Scope()):
        with pytest.raises(InputError, match="no widened skeleton"):
            term(logits, bare)


def test_connectivity_of_a_line_by_hand() -> None:
    logits, truth = line([0.5, 0.5, 0.8], [0, 1, 1])
    # Of the 13 steps only (0, 0, 1) has pairs here: told .25 and .4, annotated 0 and 1. The others are empty: Dice 1.
    dice = (2 * 0.4 + 1) / (0.25 + 0.4 + 1 + 1)
    assert Connectivity()(logits, truth).item() == pytest.approx(1 - (dice + 12) / 13)
    logits, truth = line([0.5, 0.5, 0.8], [0, 1, 1], weight=[0, 1, 1])
    dice = (2 * 0.4 + 1) / (0.4 + 1 + 1)
    assert Connectivity()(logits, truth).item() == pytest.approx(1 - (dice + 12) / 13)


def test_connectivity_sees_every_neighbour_once() -> None:
    """A voxel and its 26 neighbours: each of 13 steps has the two pairs through the centre among its pairs."""
    probability = torch.full((1, 3, 3, 3), 1e-300, dtype=torch.float64)
    probability[0, 1, 1, 1] = 0.5
    target = torch.zeros(1, 3, 3, 3, dtype=torch.int64)
    truth = Truth(target, torch.ones(1, 3, 3, 3), (1.0, 1.0, 1.0))

    def value(probability: Tensor) -> float:
        return Connectivity()(torch.stack([torch.zeros_like(probability), probability.logit()], dim=1), truth).item()

    for neighbour in ((0, 0, 0), (0, 1, 1), (2, 1, 0), (2, 2, 2)):
        pair = probability.clone()
        pair[(0, *neighbour)] = 0.5
        # One step of 13 tells a pair of .25 that is not annotated: Dice 1 / (.25 + 1).
        assert value(pair) == pytest.approx((1 - 1 / 1.25) / 13)
    assert value(probability) == pytest.approx(0, abs=1e-12)


def test_scope_of_a_line_by_hand() -> None:
    # Pieces of 4 mm: voxels 0 1, 2 3 and 4 5 at 2 mm. Edges: three pieces and two joints, one pair each.
    told = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    logits, truth = line(told, [1] * 6, spacing_mm=2.0)
    products = [a * b for a, b in pairwise(told)]
    assert Scope()(logits, truth).item() == pytest.approx(1 - sum(products) / 5)
    # At 1 mm the pieces are 0 1 2 3 and 4 5: the first has three pairs, the joint one, the second one.
    logits, truth = line(told, [1] * 6, spacing_mm=1.0)
    whole = (sum(products[:3]) / 3 + products[3] + products[4]) / 3
    assert Scope()(logits, truth).item() == pytest.approx(1 - whole)


def test_scope_cuts_at_voxels_that_nobody_annotated() -> None:
    logits, truth = line([0.9, 0.8, 0.7, 0.6], [1, 1, 1, 1], weight=[1, 1, 0, 1])
    assert Scope()(logits, truth).item() == pytest.approx(1 - 0.9 * 0.8)  # the last voxel has no neighbour left


def test_branches_that_share_a_cube_are_pieces_of_their_own() -> None:
    tube = torch.zeros(2, 1, 5, 8, dtype=torch.int64)
    tube[0, 0, 0, :] = tube[0, 0, 4, :] = tube[1, 0, 0, :] = 1
    tube[1, 0, 4, :] = 2
    graph = shape_graph(tube.numpy(), (8.0, 8.0, 4.0))
    assert len(graph.kind) == 4 * 3  # four branches, each two pieces and one joint
    assert sorted(graph.kind.tolist()) == [1] * 9 + [2] * 3


def test_scope_weighs_a_twig_as_a_trunk() -> None:
    """The same gap costs as much in a branch of 1 voxel across as in one of 3 x 3."""
    costs = []
    for gap in ((slice(0, 3), slice(0, 3)), (slice(1, 2), slice(8, 9))):
        labels = torch.zeros(1, 3, 10, 32, dtype=torch.int64)
        labels[0, :, 0:3, :] = 1
        labels[0, 1, 8, :] = 1
        probability = torch.full(labels.shape, 1 - 1e-9, dtype=torch.float64)
        probability[0, gap[0], gap[1], 16:20] = 1e-9
        logits = torch.stack([torch.zeros_like(probability), probability.logit()], dim=1)
        costs.append(Scope()(logits, Truth(labels, torch.ones(labels.shape), (1.0, 1.0, 1.0), labels)).item())
    assert costs[0] == pytest.approx(costs[1], rel=1e-6)


def test_a_node_without_length_is_refused() -> None:
    with pytest.raises(SettingsError, match="node_mm is 0; expected a length above 0 mm"):
        objective({"scope": {"weight": 1.0, "node_mm": 0.0}})
