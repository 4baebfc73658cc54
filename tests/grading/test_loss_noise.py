"""Losses against over-confidence and wrong labels: values by hand, what they remember, and what they refuse."""

import math
from pathlib import Path

import pytest
import torch

from voxfield.errors import SettingsError
from voxfield.grading import augment
from voxfield.grading.algorithms.supervised import Supervised
from voxfield.grading.components import Labels, Sizes, make
from voxfield.grading.losses import LOSSES
from voxfield.grading.losses.acls import Acls
from voxfield.grading.losses.early_learning import EarlyLearning, recall
from voxfield.grading.losses.memory import RowMemory
from voxfield.grading.losses.ordinal import Ordinal, one_hot
from voxfield.grading.losses.probability import Probability, frequencies, masses
from voxfield.grading.losses.readers import PACE, ReaderChances, Readers
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet
from voxfield.grading.schedule import Method, Plan
from voxfield.grading.trainer import Training
from voxfield.workspace import Workspace

SIZES = Sizes(embedding=4, grades=3, image=None, features=2)
TELLING_ROWS = ("early_learning", "readers", "probability")


def labels(grades: list[int], readers: list[int] | None = None) -> Labels:
    return Labels(torch.tensor(grades), None if readers is None else torch.tensor(readers), 3)


def plain(p: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return Ordinal()(p.log(), target)


def test_acls_by_hand() -> None:
    # logits 4, -1, -3 have the mean 0: the largest is 3 beyond the margin, gaps of 5 and 7 are 4 and 6 beyond it
    logits = torch.tensor([[4.0, -1.0, -3.0]], requires_grad=True)
    target = one_hot(torch.tensor([1]), 3)
    log_p = logits.log_softmax(1)
    loss = Acls(margin=1.0, weight=0.5, down=2.0, up=0.1)
    smoothing = 0.5 * (2 * 3**2 + 0.1 * (4**2 + 6**2) / 2)
    torch.testing.assert_close(loss(log_p, target) - Ordinal()(log_p, target), torch.tensor([smoothing]))
    assert torch.equal(Acls(margin=8.0)(log_p, target), Ordinal()(log_p, target))


def test_default_margin_of_acls_is_the_confidence_of_the_paper() -> None:
    free = 1 / (1 + 199 * math.exp(-10))
    assert 1 / (1 + 4 * math.exp(-Acls().margin)) == pytest.approx(free, abs=1e-3)


def test_temporal_targets_and_loss_by_hand() -> None:
    loss = EarlyLearning(weight=2.0, decay=0.5, adaptive=False)
    loss.begin(labels([0, 2]), SIZES)
    p, target = torch.tensor([[0.6, 0.3, 0.1]]), one_hot(torch.tensor([0]), 3)
    rows = torch.tensor([0])
    # t = p / 2 after the first time, so <p, t> = (.36 + .09 + .01) / 2 = .23
    expected = plain(p, target) + 2 * math.log(1 - 0.23)
    torch.testing.assert_close(loss(p.log(), target, rows), expected)
    # then t = p / 4 + q / 2
    q = torch.tensor([[0.2, 0.2, 0.6]])
    t = 0.25 * p + 0.5 * q
    expected = plain(q, target) + 2 * torch.log(1 - (q * t).sum())
    torch.testing.assert_close(loss(q.log(), target, rows), expected)


def test_no_gradient_goes_through_a_temporal_target() -> None:
    """At p with target t the gradient of log(1 - <p, t>) in p is -t / (1 - <p, t>)."""
    loss = EarlyLearning(weight=1.0, decay=0.5, adaptive=False)
    loss.begin(labels([0, 2]), SIZES)
    log_p = torch.tensor([[0.6, 0.3, 0.1]]).log().requires_grad_()
    target = one_hot(torch.tensor([0]), 3)
    both = torch.autograd.grad(loss(log_p, target, torch.tensor([0])).sum(), log_p)[0]
    alone = torch.autograd.grad(Ordinal()(log_p, target).sum(), log_p)[0]
    p = log_p.detach().exp()
    t = 0.5 * p
    torch.testing.assert_close(both - alone, -p * t / (1 - (p * t).sum()))


def test_a_sure_target_cancels_the_label_that_it_contradicts() -> None:
    """With t = e_c and the weight 1 no label but c moves the logit of c: p_c of cross entropy - p_c of log(1 - p_c)."""
    loss = EarlyLearning(ranked=0.0, decay=1.0, adaptive=False)
    loss.begin(labels([0, 2]), SIZES)
    loss._memory.said[0] = torch.tensor([0.0, 1.0, 0.0])
    logits = torch.tensor([[0.3, 1.9, -0.4]], requires_grad=True)
    value = loss(logits.log_softmax(1), one_hot(torch.tensor([0]), 3), torch.tensor([0]))
    (slope,) = torch.autograd.grad(value.sum(), logits)
    torch.testing.assert_close(slope[0, 1], torch.tensor(0.0), atol=1e-6, rtol=0)


def test_a_grade_is_held_once_its_recall_slows() -> None:
    """Grade 0 is learnt at once and stays; grade 1 is learnt steadily; grade 2 never: only grade 0 is held."""
    loss = EarlyLearning(decay=0.0)
    grades = [0] * 10 + [1] * 10 + [2] * 10
    loss.begin(labels(grades), SIZES)
    rows, target = torch.arange(30), one_hot(torch.tensor(grades), 3)
    for check in range(6):
        p = torch.tensor([[0.5, 0.3, 0.2]]).repeat(30, 1)
        p[:10] = torch.tensor([0.8, 0.1, 0.1]) if check else p[0]
        right = 10 + check + 1
        p[10:right] = torch.tensor([0.1, 0.8, 0.1])
        p[0] = torch.tensor([0.1, 0.8, 0.1]) if check == 0 else p[0]
        loss(p.log(), target, rows)
    course = loss.account()["recall"]
    assert [c[0] for c in course] == pytest.approx([0.9, 1, 1, 1, 1, 1])
    assert [c[1] for c in course] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert loss.account()["held_grades"] == [0]
    p = torch.full((2, 3), 1 / 3)
    free, held = torch.tensor([10]), torch.tensor([0])
    assert torch.equal(loss(p[:1].log(), target[10:11], free), plain(p[:1], target[10:11]))
    assert loss(p[:1].log(), target[:1], held) < plain(p[:1], target[:1])


def test_recall_counts_rows_that_were_met() -> None:
    memory = RowMemory(labels([0, 0, 1, -1, 2]), 0.0)
    assert not memory.update(torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]]).log(), torch.tensor([0, 2]))
    assert recall(memory) == [1, 0, 0]
    assert memory.update(torch.tensor([[0.2, 0.7, 0.1], [0.1, 0.8, 0.1]]).log(), torch.tensor([1, 2]))
    assert recall(memory) == [0.5, 1, 0]
    assert memory.passes == 1


def test_what_a_reader_writes_by_hand() -> None:
    loss = Readers(confident=0.5)
    chances = loss.begin(labels([0, 1], [0, 1]), SIZES)
    a = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.0, 0.5, 0.5]])
    with torch.no_grad():
        chances.scores[1] = a.clamp(min=1e-30).log() / PACE
    p = torch.tensor([[0.5, 0.25, 0.25]])
    target = one_hot(torch.tensor([1]), 3)
    written = torch.tensor([[0.5, 0.35, 0.15]])
    torch.testing.assert_close(chances(p.log(), torch.tensor([1])).exp(), written)
    entropy = 0.5 * math.log(2) + 0.5 * math.log(4)
    torch.testing.assert_close(loss(p.log(), target, torch.tensor([1])), plain(written, target) + 0.5 * entropy)
    torch.testing.assert_close(torch.tensor(loss.account()["reader_chances"][1]), a, atol=1e-6, rtol=0)


def test_readers_begin_near_the_identity() -> None:
    matrices = ReaderChances(2, 5).matrices()
    torch.testing.assert_close(matrices.sum(2), torch.ones(2, 5))
    assert (matrices.diagonal(dim1=1, dim2=2) > 0.9).all()
    assert matrices[0, 2, 1] > 10 * matrices[0, 2, 0]


def test_confusion_of_readers_is_found_again() -> None:
    """The truth is given to the network's side; gradient descent on the matrices finds what the readers do."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 3, (6000,), generator=generator)
    exact = torch.tensor(
        [[[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]], [[1, 0, 0], [0.6, 0.4, 0], [0, 0.6, 0.4]]]
    )
    reader = torch.arange(6000) % 2
    written = torch.multinomial(exact[reader, truth], 1, generator=generator).flatten()
    loss = Readers(ranked=0.0)
    chances = loss.begin(Labels(written, reader, 3), SIZES)
    log_p = one_hot(truth, 3).clamp(min=1e-6).log().log_softmax(1)
    optimiser = torch.optim.Adam(chances.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        loss(log_p, one_hot(written, 3), torch.arange(6000)).mean().backward()
        optimiser.step()
    torch.testing.assert_close(chances.matrices(), exact, atol=0.03, rtol=0)


def test_frequencies_by_hand() -> None:
    predicted = torch.tensor([[0.9], [0.1], [0.3], [0.6]])  # in order: rows 1, 2, 3, 0
    happened = torch.tensor([[1.0], [0.0], [1.0], [0.0]])  # in order: 0, 1, 0, 1
    found = frequencies(predicted, happened, bins=2)  # windows of one row to either side
    torch.testing.assert_close(found.flatten(), torch.tensor([1 / 2, 1 / 2, 1 / 3, 2 / 3]))
    torch.testing.assert_close(
        masses(torch.tensor([[0.5, 0.8], [1.0, 0.0]])), torch.tensor([[0.2, 0.3, 0.5], [0, 1, 0]])
    )


def test_targets_become_frequencies_after_so_many_passes() -> None:
    """Four rows said to be alike, labelled 0, 1, 1, 2: their common frequency replaces the labels after two passes."""
    loss = Probability(passes=2, share=1.0, bins=1)
    grades = [0, 1, 1, 2]
    loss.begin(labels(grades), SIZES)
    p, target = torch.tensor([[0.2, 0.5, 0.3]]).repeat(4, 1), one_hot(torch.tensor(grades), 3)
    rows = torch.arange(4)
    torch.testing.assert_close(loss(p.log(), target, rows), plain(p, target))
    # windows of two rows to either side, cut at the ends: 3, 4, 4 and 3 rows
    thirds, half = [1 / 3, 2 / 3, 0], [1 / 4, 1 / 2, 1 / 4]
    expected = torch.tensor([thirds, half, half, [0, 2 / 3, 1 / 3]])
    torch.testing.assert_close(loss(p.log(), target, rows), plain(p, expected))


def test_frequencies_of_a_calibrated_network_are_its_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(4000, 1, generator=generator)
    happened = (torch.rand(4000, 1, generator=generator) < p).float()
    assert (frequencies(p, happened, bins=10) - p).abs().mean() < 0.03


@pytest.mark.parametrize("name", TELLING_ROWS)
def test_mixed_rows_are_refused(name: str) -> None:
    loss = make("losses", LOSSES, name, [])
    loss.begin(labels([0, 1], [0, 1]), SIZES)
    with pytest.raises(SettingsError, match=f"loss '{name}' tells labelled rows apart, but the algorithm mixes"):
        loss(torch.zeros(2, 3).log_softmax(1), torch.eye(3)[:2], None)


def test_readers_are_needed() -> None:
    with pytest.raises(SettingsError, match="no column `reader`"):
        Readers().begin(labels([0, 1]), SIZES)
    with pytest.raises(SettingsError, match="one reader gave all grades"):
        Readers().begin(labels([0, 1], [0, 0]), SIZES)


def data() -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    grades = torch.arange(18) % 3
    features = torch.randn(18, 2, generator=generator) + grades[:, None]
    return TrainingSet(None, features, grades, 3, values=2, readers=torch.arange(18) % 2)


def training(name: str) -> Training:
    config = {"name": "convolutional", "dims": 0, "channels": [4], "features": 2, "hidden": 4, "grades": 3}
    plan = Plan(40, 6, 1e-2, 1e-2, 0.9, augment.strong(0.1, 0.1, 0.1), (), 17, 7)
    options = ["passes=3"] if name == "probability" else []
    method = Method(Supervised(), make("losses", LOSSES, name, options))
    return Training(build(config, 7), method, data(), plan, torch.device("cpu"))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_killed_run_ends_with_the_same_bytes(name: str, tmp_path: Path) -> None:
    whole = training(name)
    expected = whole.run(Workspace(), lambda todo: todo).state_dict()
    first = training(name)
    for step in range(25):  # a checkpoint at step 17, then killed
        first.advance(step)
        first.step = step + 1
        if first.step == 17:
            first.save(Workspace(tmp_path))
    found = training(name).run(Workspace(tmp_path), lambda todo: todo).state_dict()
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())
