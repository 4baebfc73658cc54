"""Co-teaching: who learns from which rows, by hand; compression; two networks that resume as one."""

from pathlib import Path

import pytest
import torch

from voxfield.grading import augment
from voxfield.grading.algorithms.base import Batch, Inputs, Nets
from voxfield.grading.algorithms.co_teaching import CoTeaching, compress, fresh
from voxfield.grading.losses.ordinal import Ordinal, one_hot
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet
from voxfield.grading.schedule import Method, Plan
from voxfield.grading.trainer import Training
from voxfield.workspace import Workspace

CONFIG = {"name": "convolutional", "dims": 0, "channels": [4], "features": 2, "hidden": 4, "grades": 3}


class Table(torch.nn.Module):  # type: ignore[misc]
    """A network whose probabilities (n, k) are written down; its embedding is their logarithm."""

    width = 2

    def __init__(self, probability: list[list[float]]) -> None:
        super().__init__()
        self.values = torch.nn.Parameter(torch.tensor(probability).log())
        self.head = torch.nn.Identity()

    def embed(self, image: object, features: torch.Tensor) -> torch.Tensor:
        return self.values[features[:, 0].long()]


def test_each_learns_from_what_the_other_finds_easy() -> None:
    """Four rows of grade 0 and two of grade 1; half of each grade is left out."""
    first = Table([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.4, 0.6], [0.3, 0.7]])
    second = Table([[0.6, 0.4], [0.7, 0.3], [0.8, 0.2], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])
    grades = torch.tensor([0, 0, 0, 0, 1, 1])
    method = CoTeaching(forget=0.5, compressed=0.0)
    method._grades, method._losses = grades, torch.full((2, 6), torch.nan)
    rows = Inputs(None, torch.arange(6.0)[:, None], torch.arange(6))
    nets = Nets(first, None, lambda inputs, kind: inputs, Ordinal(), torch.Generator(), second)
    loss, figures = method.loss(Batch(rows, one_hot(grades, 2), None, progress=1.0), nets)

    # the first finds rows 0, 1 and 5 easy, the second rows 2, 3 and 4: less likely rows are left out by grade, so that
    # row 5 stays although row 2 has as small a loss
    def cost(table: Table, chosen: list[int]) -> torch.Tensor:
        return Ordinal()(table.values[chosen], one_hot(grades[chosen], 2)).mean()

    torch.testing.assert_close(loss, cost(first, [2, 3, 4]) + cost(second, [0, 1, 5]))
    assert figures["kept"] == 0.5
    loss.backward()
    assert (first.values.grad[[0, 1, 5]] == 0).all()
    assert (second.values.grad[[2, 3, 4]] == 0).all()


def test_nothing_is_left_out_in_the_beginning() -> None:
    table = Table([[0.9, 0.1], [0.2, 0.8]])
    method = CoTeaching(compressed=0.0)
    grades = torch.tensor([0, 0])
    method._grades, method._losses = grades, torch.full((2, 2), torch.nan)
    rows = Inputs(None, torch.arange(2.0)[:, None], torch.arange(2))
    nets = Nets(table, None, lambda inputs, kind: inputs, Ordinal(), torch.Generator(), table)
    _, figures = method.loss(Batch(rows, one_hot(grades, 2), None, progress=0.0), nets)
    assert figures["kept"] == 1


def test_rows_are_ranked_against_those_of_their_grade_that_came_before() -> None:
    method = CoTeaching()
    method._grades, method._losses = torch.tensor([0, 0, 0, 0, 1]), torch.full((2, 5), torch.nan)
    method._easy(0, torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1, 2]), 0.25)
    # 1, 2, 3 and 4 are known of grade 0: the lowest three quarters end at 3.25
    assert method._easy(0, torch.tensor([4.0, 9.0]), torch.tensor([3, 4]), 0.25).tolist() == [False, True]
    # 2.5 instead of 4: they end at 2.625
    assert method._easy(0, torch.tensor([2.5, 3.0, 1.0]), torch.tensor([3, 2, 0]), 0.25).tolist() == [True, False, True]


def test_compression_keeps_first_entries() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = compress(torch.ones(4000, 4), 1.0, generator)
    assert (seen.diff(dim=1) <= 0).all()
    assert seen.mean(0).tolist() == pytest.approx([1, 0.75, 0.5, 0.25], abs=0.03)
    assert compress(torch.ones(4000, 4), 0.5, generator).mean(0)[3].item() == pytest.approx(0.625, abs=0.03)
    assert torch.equal(compress(torch.ones(9, 4), 0.0, generator), torch.ones(9, 4))


def test_the_second_network_is_another_one() -> None:
    network = build(CONFIG, 0)
    torch.manual_seed(1)
    other = fresh(network)
    assert [p.shape for p in other.parameters()] == [p.shape for p in network.parameters()]
    assert not torch.equal(other.head.linear.weight, network.head.linear.weight)


def training() -> Training:
    generator = torch.Generator().manual_seed(0)
    grades = torch.arange(18) % 3
    features = torch.randn(18, 2, generator=generator) + grades[:, None]
    plan = Plan(30, 6, 1e-2, 1e-2, 0.9, augment.strong(0.1, 0.1, 0.1), (), 13, 7)
    data = TrainingSet(None, features, grades, 3, values=2)
    return Training(build(CONFIG, 7), Method(CoTeaching(), Ordinal()), data, plan, torch.device("cpu"))


def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = training()
    expected = whole.run(Workspace(), lambda todo: todo).state_dict()
    first = training()
    for step in range(20):  # a checkpoint after 13 steps, then killed
        first.advance(step)
        first.step = step + 1
        if first.step == 13:
            first.save(Workspace(tmp_path))
    again = training()
    found = again.run(Workspace(tmp_path), lambda todo: todo).state_dict()
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())
    for mine, theirs in zip(whole.parts.parameters(), again.parts.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_both_networks_learn() -> None:
    run = training()
    before = [p.clone() for p in (*run.student.parameters(), *run.parts.parameters())]
    run.advance(0)
    after = [*run.student.parameters(), *run.parts.parameters()]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
