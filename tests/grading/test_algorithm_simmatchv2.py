"""SimMatchV2: propagation, memories and every consistency worked by hand."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grading.cohorts import tubes
from grading.toy_nets import Squared, batch, nets, rows, shifted
from voxfield.context import Context
from voxfield.grading import predict, train
from voxfield.grading.algorithms._memory import Memory
from voxfield.grading.algorithms.simmatchv2 import Projection, SimMatchV2
from voxfield.grading.components import Labels, Sizes
from voxfield.grading.grader import Grader
from voxfield.grading.networks import build

LABELS = Labels(torch.tensor([-1, 1, 0, -1, 1]), None, 2)
EAST, NORTH = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])


def memory() -> Memory:
    """Rows 1 and 2 seen, in the directions east and north; row 4 not."""
    return Memory.empty(LABELS, 2).see(torch.tensor([1, 2]), torch.stack([EAST, NORTH]))


def test_only_what_was_seen_is_remembered() -> None:
    empty, found = Memory.empty(LABELS, 2), memory()
    assert found.seen.tolist() == [True, True, False]
    assert found.grades.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert torch.equal(found.known[:2], torch.stack([EAST, NORTH]))
    assert not empty.seen.any()
    assert not empty.known.any()  # the old memory is left alone
    twice = found.see(torch.tensor([4, 1, 4]), torch.stack([NORTH, -EAST, EAST]))
    assert torch.equal(twice.known, torch.stack([-EAST, NORTH, NORTH]))


def test_the_last_unlabelled_rows_stay() -> None:
    found = Memory.empty(LABELS, 1)
    for value in (1.0, 2.0, 3.0):
        found = found.push(torch.full((2, 1), value), torch.full((2, 2), value / 10), 5)
    assert found.bank.flatten().tolist() == [3, 3, 2, 2, 1]
    torch.testing.assert_close(found.guess[:, 0], torch.tensor([0.3, 0.3, 0.2, 0.2, 0.1]))


def test_alignment_by_hand() -> None:
    found = replace(memory(), mean=torch.tensor([0.7, 0.3]))
    aligned, moved = found.align(torch.tensor([[0.9, 0.1], [0.5, 0.5]]))
    mean = torch.tensor([0.9 * 0.7 + 0.1 * 0.7, 0.9 * 0.3 + 0.1 * 0.3])
    torch.testing.assert_close(moved.mean, mean)
    first = torch.tensor([0.9 / 0.7, 0.1 / 0.3])
    torch.testing.assert_close(aligned[0], first / first.sum())
    torch.testing.assert_close(aligned[1], torch.tensor([0.3, 0.7]))


def test_propagation_by_hand() -> None:
    """A row in the direction east among a row of grade 1 at east and one of grade 0 at north."""
    method = SimMatchV2(temperature=1.0, spread=0.5)
    own = torch.tensor([[0.8, 0.2]])
    found = method._propagate(EAST[None], own, memory())
    # similarities 1 (row, east), 0 (row, north), 0 (east, north); without self-edges each row has two edges
    near, far = math.e / (math.e + 1), 1 / (math.e + 1)
    edges = torch.tensor([[0, near, far], [near, 0, far], [0.5, 0.5, 0]])
    shares = 0.5 * torch.linalg.inv(torch.eye(3) - 0.5 * edges)[0]
    assert float(shares.sum()) == pytest.approx(1)
    expected = shares @ torch.tensor([[0.8, 0.2], [0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(SimMatchV2(spread=0.0)._propagate(EAST[None], own, memory()), own)
    # of one neighbour, the nearest: (1 - a) (1, a) / (1 - a^2), which is 2/3 and 1/3
    [alone] = SimMatchV2(spread=0.5, neighbours=1)._propagate(EAST[None], own, memory())
    torch.testing.assert_close(alone, torch.tensor([0.8, 0.2]) * 2 / 3 + torch.tensor([0.0, 1.0]) / 3)


class Direction(nn.Module):  # type: ignore[misc]
    """Of an embedding x the unit vector at the angle x."""

    def forward(self, embedding: Tensor) -> Tensor:
        """(n, 1) to (n, 2)."""
        return torch.cat([torch.cos(embedding), torch.sin(embedding)], dim=1)


def test_the_consistencies_by_hand() -> None:
    method = SimMatchV2(node_node=2.0, edge_edge=3.0, node_edge=5.0, spread=0.0, temperature=1.0, threshold=0.6)
    method.begin(LABELS, Sizes(1, 2, None, 1))
    labelled = replace(rows(0.0), rows=torch.tensor([2]))
    given = batch(labelled, [0], rows(1.0))
    held = nets(Squared(), Squared(), shifted([0.0, 1.0]), Direction(), Direction())
    method.remembered = replace(Memory.empty(LABELS, 2), bank=torch.stack([EAST, NORTH]),
                                guess=torch.tensor([[0.9, 0.1], [0.4, 0.6]]))  # fmt: skip
    loss, figures = method.loss(given, held)
    weak, strong = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-4))  # of the first grade, at 1 and at 2
    mean = 0.45 + 0.1 * weak, 0.45 + 0.1 * (1 - weak)
    p = weak / mean[0] / (weak / mean[0] + (1 - weak) / mean[1])
    nodes = -(p * math.log(strong) + (1 - p) * math.log(1 - strong))
    wanted, said = (torch.tensor([math.cos(x), math.sin(x)]).softmax(0) for x in (1.0, 2.0))
    edges = -(wanted * said.log()).sum()
    among = said[0] * 0.9 + said[1] * 0.4
    across = -(p * among.log() + (1 - p) * (1 - among).log())
    assert figures["accepted"] == 1.0
    assert figures["node_node"] == pytest.approx(nodes, rel=1e-5)
    assert figures["edge_edge"] == pytest.approx(float(edges), rel=1e-5)
    assert figures["node_edge"] == pytest.approx(float(across), rel=1e-5)
    torch.testing.assert_close(loss, math.log(2) + 2 * nodes + 3 * edges + 5 * across, rtol=1e-5, atol=1e-6)
    # afterwards the labelled row is known, and the weak view of the unlabelled one stands first
    assert method.remembered.seen.tolist() == [False, True, False]
    torch.testing.assert_close(method.remembered.bank[0], torch.tensor([math.cos(1), math.sin(1)]))
    torch.testing.assert_close(method.remembered.guess[0, 0], torch.tensor(p))


def test_at_first_there_are_no_edges_and_a_lost_network_is_not_hidden() -> None:
    method = SimMatchV2(projection=2)
    method.begin(LABELS, Sizes(1, 2, None, 1))
    given = batch(replace(rows(0.0), rows=torch.tensor([2])), [0], rows(1.0, 3.0))
    student = Squared()
    loss, figures = method.loss(given, nets(student, Squared(), shifted([0.0, 0.5]), Direction(), Direction()))
    assert (figures["edge_edge"], figures["node_edge"]) == (0.0, 0.0)
    assert torch.isfinite(loss)
    loss.backward()
    assert not any(tensor.requires_grad for tensor in method.tensors().values())
    with torch.no_grad():
        student.scale.fill_(torch.nan)
    loss, _ = method.loss(given, nets(student, Squared(), shifted([0.0, 0.5]), Direction(), Direction()))
    assert torch.isnan(loss)


def test_a_step_after_a_checkpoint_costs_the_same() -> None:
    def started() -> SimMatchV2:
        method = SimMatchV2(projection=2)
        method.begin(LABELS, Sizes(1, 2, None, 1))
        return method

    def step(method: SimMatchV2, value: float) -> float:
        given = batch(replace(rows(value), rows=torch.tensor([2])), [0], rows(value + 1, 3.0))
        held = nets(Squared(), Squared(), shifted([0.0, 0.5]), Direction(), Direction())
        return float(method.loss(given, held)[0].detach())

    whole, resumed = started(), started()
    for value in (0.0, 0.4):
        step(whole, value)
    resumed.restore(whole.tensors())
    assert step(resumed, 0.9) == step(whole, 0.9)


def test_a_normalised_network_forgets_the_scale_of_its_embedding() -> None:
    config = {"name": "convolutional", "dims": 0, "channels": [4], "features": 5, "hidden": 0, "grades": 3}
    plain, made = build(config, 0), build({**config, "normalised": SimMatchV2.normalised_embedding}, 0)
    features = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(made(None, 30 * features + 2), made(None, features), rtol=1e-3, atol=1e-4)
    rows = (features - features.mean(1, keepdim=True)) / features.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(made(None, features), plain(None, rows), rtol=1e-3, atol=1e-4)


def test_a_model_remembers_that_its_network_normalises() -> None:
    cohort, images, _ = tubes(30)
    ctx = Context(seed=1, device="cpu")
    small: dict[str, Any] = {"steps": 3, "batch": 4, "cells": 8, "channels": (4, 8), "bootstrap": 5}
    model = train(cohort, images, algorithm="simmatchv2", **small, ctx=ctx).model
    assert isinstance(Grader.from_model(model, torch.device("cpu")).network.head[0], nn.LayerNorm)
    found = predict(images[0], model, ctx=ctx).grade.values["probabilities"]
    assert sum(found) == pytest.approx(1)


def test_embeddings_have_unit_length_whatever_the_scale_of_the_features() -> None:
    made, features = Projection(6, 4), torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    found = made(features)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(made(100 * features + 7), found, rtol=1e-3, atol=1e-4)
