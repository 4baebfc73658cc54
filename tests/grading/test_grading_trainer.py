"""The loop: exact resume, what it refuses, and that algorithms are found by name."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from voxfield.errors import InputError, SettingsError
from voxfield.grading import augment
from voxfield.grading.algorithms import ALGORITHMS, Batch, Nets
from voxfield.grading.algorithms.base import Inputs
from voxfield.grading.algorithms.fixmatch_ordinal import FixMatchOrdinal
from voxfield.grading.components import make
from voxfield.grading.losses.ordinal import Ordinal
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet, infer
from voxfield.grading.schedule import Method, Plan, chances, draw, draw_by_chance, schedule, step_seed
from voxfield.grading.trainer import Training
from voxfield.plugins import find
from voxfield.workspace import Workspace

NETWORK = {"name": "convolutional", "dims": 2, "channels": [4, 8], "features": 2, "hidden": 4, "grades": 3}


def data(count: int = 30) -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    grades = torch.arange(count) % 3
    images = torch.rand(count, 1, 8, 8, generator=generator) + grades[:, None, None, None]
    grades = torch.where(torch.arange(count) < count // 2, grades, -1)
    return TrainingSet(images, torch.zeros(count, 2), grades, 3, values=2)


def plan(steps: int = 12, rate: float = 1e-2) -> Plan:
    return Plan(steps, 4, rate, 1e-2, 0.9, augment.strong(0.1, 0.1, 0.1), (0,), 5, 7)


def training(algorithm: str = "fixmatch_ordinal", **changes: float) -> Training:
    network = build(NETWORK, 7)
    method = Method(make("algorithms", ALGORITHMS, algorithm, []), Ordinal())
    return Training(network, method, data(), plan(**changes), torch.device("cpu"))  # type: ignore[arg-type]


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_killed_run_ends_with_the_same_bytes(algorithm: str, tmp_path: Path) -> None:
    whole = training(algorithm)
    expected = whole.run(Workspace(), lambda todo: todo).state_dict()

    def until(step: int, todo: range) -> object:
        for i in todo:
            if i == step:
                raise Killed
            yield i

    for stop in (7, 11):  # after the checkpoints of steps 5 and 10, not at them
        with pytest.raises(Killed):
            training(algorithm).run(Workspace(tmp_path), lambda todo, stop=stop: until(stop, todo))  # type: ignore[misc]
    last = training(algorithm)
    found = last.run(Workspace(tmp_path), lambda todo: todo).state_dict()
    assert last.log == whole.log
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


def test_training_lowers_the_loss_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    run = training("supervised", steps=150, rate=3e-3)
    run.run(Workspace(), lambda todo: todo)
    assert torch.equal(torch.rand(1), expected)
    outputs, _ = infer(run.teacher, data(), torch.device("cpu"))
    assert (outputs.argmax(1)[:15] == data().grades[:15].numpy()).mean() > 0.6  # chance is a third


class Scores:
    """A judge that gives the scores it is told and notes the weights that it saw."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.seen = list(scores), list[torch.Tensor]()

    def __call__(self, network: torch.nn.Module) -> float:
        self.seen.append(torch.cat([p.flatten() for p in network.parameters()]).clone())
        return self.scores[len(self.seen) - 1]


def judged(judge: Scores, workspace: Workspace, steps: int) -> tuple[Training, torch.Tensor]:
    method = Method(make("algorithms", ALGORITHMS, "supervised", []), Ordinal())
    asked = replace(plan(40), patience=2)
    run = Training(build(NETWORK, 7), method, data(), asked, torch.device("cpu"), judge)
    result = run.run(workspace, lambda todo: todo[: steps - todo.start] if steps < 40 else todo)
    return run, torch.cat([p.flatten() for p in result.parameters()])


def test_patience_keeps_the_best_check_and_stops(tmp_path: Path) -> None:
    judge = Scores(3.0, 1.0, 2.0, 1.0, 0.0)  # at steps 5, 10, 15, 20: the check of step 10 is never bettered
    run, weights = judged(judge, Workspace(), 40)
    assert (run.step, run.best.step, len(judge.seen)) == (20, 10, 4)
    assert torch.equal(weights, judge.seen[1])
    judged(Scores(3.0, 1.0), Workspace(tmp_path), 12)
    again, resumed = judged(Scores(2.0, 1.0), Workspace(tmp_path), 40)
    assert (again.step, again.best.step) == (20, 10)
    assert torch.equal(resumed, weights)


def test_divergence_is_told() -> None:
    with pytest.raises(SettingsError, match="lower learning_rate"):
        training("supervised", steps=50, rate=1e30).run(Workspace(), lambda todo: todo)


def test_ordinal_fixmatch_by_hand() -> None:
    """One labelled and two unlabelled rows; the network is a table, so every term can be worked out."""
    teacher = {0: [0.6, 0.4, 0.0], 1: [0.5, 0.0, 0.5], 2: [1 / 3, 1 / 3, 1 / 3]}
    student = {0: [0.5, 0.3, 0.2], 1: [0.2, 0.3, 0.5], 2: [0.25, 0.5, 0.25]}

    def net(table: dict[int, list[float]]) -> object:
        return lambda image, features: torch.tensor([table[int(v)] for v in features[:, 0]]).log()

    nets = Nets(net(student), net(teacher), lambda inputs, kind: inputs, Ordinal(), torch.Generator())
    labelled = Inputs(None, torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    unlabelled = Inputs(None, torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([1, 2]))
    batch = Batch(labelled, torch.tensor([[0.0, 1.0, 0.0]]), unlabelled, progress=1.0)
    loss, figures = FixMatchOrdinal(weight=0.5, window=0.95, sharpness=2.0).loss(batch, nets)
    # labelled: -log .5, and F - G = (.25, -.25): (.0625 + .0625) / 2
    known = -torch.log(torch.tensor(0.5)) + 0.0625
    # row 0 is accepted (.6 + .4 > .95) with target (.36, .16, 0) / .52; row 1 is not (.5)
    t = torch.tensor([0.36, 0.16]) / 0.52
    unknown = -(t * torch.tensor([0.5, 0.3]).log()).sum() + ((0.5 - t[0]) ** 2 + (0.8 - 1.0) ** 2) / 2
    assert figures["accepted"] == 0.5
    torch.testing.assert_close(loss, known + 0.5 * unknown / 2)


def test_unlabelled_rows_send_no_gradient_through_the_target() -> None:
    run = training()
    before = copy.deepcopy(run.teacher.state_dict())
    generator = torch.Generator().manual_seed(0)
    nets = Nets(run.student, run.teacher, lambda inputs, kind: inputs, Ordinal(), generator)
    loss, _ = run.method.algorithm.loss(run._batch(11, generator), nets)
    loss.backward()
    assert all(p.grad is None for p in run.teacher.parameters())
    assert all(torch.equal(v, before[k]) for k, v in run.teacher.state_dict().items())


def test_options_are_typed_and_named() -> None:
    made = make("algorithms", ALGORITHMS, "fixmatch_ordinal", ["window=0.9", "unlabelled_ratio=3", "weight=2"])
    assert made == FixMatchOrdinal(window=0.9, unlabelled_ratio=3, weight=2.0)
    with pytest.raises(SettingsError, match="nearest known one is 'window'"):
        make("algorithms", ALGORITHMS, "fixmatch_ordinal", ["windw=0.9"])
    with pytest.raises(SettingsError, match="expected float"):
        make("algorithms", ALGORITHMS, "fixmatch_ordinal", ["window=wide"])
    with pytest.raises(SettingsError, match="name=value"):
        make("algorithms", ALGORITHMS, "supervised", ["ordinal"])
    with pytest.raises(SettingsError, match="algorithm 'semixip' is unknown"):
        make("algorithms", ALGORITHMS, "semixip", [])


def test_a_broken_plug_in_is_told() -> None:
    with pytest.raises(InputError, match=r"can not be loaded from voxfield\.grading:nothing"):
        find("voxfield.grading.algorithms", {"broken": "voxfield.grading:nothing"}, "broken")


def test_rows_and_rates() -> None:
    generator = torch.Generator().manual_seed(0)
    assert sorted(draw(5, 10, generator).tolist()) == sorted([0, 1, 2, 3, 4] * 2)
    assert len(set(draw(100, 20, generator).tolist())) == 20
    assert schedule(0, 100) == pytest.approx(0.1)
    assert schedule(10, 100) == 1.0
    assert schedule(99, 100) == pytest.approx(0.01, abs=1e-3)
    assert len({step_seed(s, t) for s in range(20) for t in range(20)}) == 400


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.1), (0.5, 0.25), (1.0, 0.5)])
def test_balance_decides_how_often_a_rare_grade_is_drawn(balance: float, share: float) -> None:
    """Of 1 row against 9 the shares are 1^(1 - b) : 9^(1 - b)."""
    grades = torch.tensor([0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    rows = draw_by_chance(chances(grades, balance), 20_000, torch.Generator().manual_seed(1))
    assert (grades[rows] == 0).double().mean() == pytest.approx(share, abs=0.01)


def test_a_balanced_training_sees_the_rare_grade_more_often() -> None:
    made = training("supervised")
    made.data.grades[:12], made.data.grades[12:15] = 0, 2
    made.plan = replace(made.plan, balance=1.0)
    generator = torch.Generator().manual_seed(0)
    seen = torch.stack([made._batch(0, generator).target.sum(0) for _ in range(200)]).mean(0)
    assert seen.tolist() == pytest.approx([2.0, 0.0, 2.0], abs=0.2)
