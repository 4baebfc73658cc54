"""CORAL and CORN: published values, identities with the distributions, and what must hold for any numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from voxfield.grading.losses.conditional import Conditional, questions
from voxfield.grading.losses.cumulative import Cumulative, above, answers_loss, log_tails
from voxfield.grading.losses.ordinal import one_hot
from voxfield.grading.networks import HEADS, head
from voxfield.grading.networks.heads import CoralHead, CornHead

LOGITS = torch.tensor([[2.1, 1.8, -2.1, -1.8], [1.9, -1.0, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]])
GRADES = torch.tensor([2, 1, 4])


def test_loss_of_coral_as_published() -> None:
    """The example in the documentation of coral-pytorch; its logits do not fall, so no distribution belongs to them."""
    levels = above(one_hot(GRADES, 5))
    assert levels.tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    each = answers_loss(logsigmoid(LOGITS), logsigmoid(-LOGITS), levels)
    torch.testing.assert_close(each, torch.tensor([0.5370, 0.8951, 0.6441]), atol=5e-5, rtol=0)
    assert each.mean().item() == pytest.approx(0.6920, abs=5e-5)


def test_loss_of_coral_from_the_distribution() -> None:
    """The third example falls: the head gives its distribution, and the label loss the same value."""
    made = CoralHead(1, 5).double()
    with torch.no_grad():
        made.score.weight.fill_(1.0)
        made.bias.copy_(LOGITS[2])
    loss = Cumulative()(made(torch.zeros(1, 1, dtype=torch.float64)), one_hot(GRADES[2:], 5))
    assert loss.item() == pytest.approx(0.6441, abs=2e-4)  # biases are kept 1e-4 apart


def test_loss_of_corn_as_published() -> None:
    """The example in the documentation of coral-pytorch."""
    torch.manual_seed(123)
    points, grades = torch.rand(8, 99), torch.tensor([0, 1, 2, 2, 2, 3, 4, 4])
    made = CornHead(99, 5)
    loss = Conditional()(made(points), one_hot(grades, 5))
    assert loss.mean().item() == pytest.approx(0.7127, abs=5e-5)


def test_questions_by_hand() -> None:
    hard = one_hot(torch.arange(5), 5)
    assert questions(hard).tolist() == [1, 2, 3, 4, 4]
    assert questions(hard[[0, 2]].mean(0, keepdim=True)).item() == 2


@pytest.mark.parametrize("name", ["coral", "corn"])
def test_heads_give_distributions_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    made = head(name, 3, 5).double()
    points = torch.randn(7, 3, dtype=torch.float64)
    torch.testing.assert_close(made(points).exp().sum(1), torch.ones(7, dtype=torch.float64))
    assert torch.autograd.gradcheck(made, points.requires_grad_())
    assert torch.isfinite(made(1000 * points)).all()


def test_coral_head_begins_even_and_stands_disorder() -> None:
    made = CoralHead(2, 4)
    torch.testing.assert_close(made(torch.zeros(1, 2)).exp(), torch.full((1, 4), 0.25), atol=2e-4, rtol=0)
    with torch.no_grad():
        made.bias.copy_(torch.tensor([-1.0, 2.0, 0.5]))
    tails = above(made(torch.zeros(1, 2)).exp())
    torch.testing.assert_close(tails, torch.tensor([[2.0, 0.5, -1.0]]).sigmoid(), atol=2e-4, rtol=0)


def test_corn_head_by_hand() -> None:
    made = CornHead(1, 3)
    with torch.no_grad():
        made.linear.weight.zero_()
        made.linear.bias.copy_(torch.logit(torch.tensor([0.6, 0.25])))
    torch.testing.assert_close(made(torch.zeros(1, 1)).exp(), torch.tensor([[0.4, 0.45, 0.15]]))


@given(st.sampled_from(sorted(HEADS)), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_both_losses_are_least_at_the_target(name: str, seed: int) -> None:
    """Proper for soft targets: no other distribution costs less than the target itself."""
    torch.manual_seed(seed)
    target = head(name, 3, 4)(torch.randn(6, 3)).exp().detach()
    other = head("corn", 3, 4)(3 * torch.randn(6, 3)).detach()
    for loss in (Cumulative(), Conditional()):
        assert (loss(other, target) - loss(target.log(), target) > -1e-5).all()


def test_tails_keep_their_digits() -> None:
    p = torch.tensor([[1 - 3e-20, 2e-20, 1e-20]], dtype=torch.float64)
    upper, lower = log_tails(torch.log(p))
    np.testing.assert_allclose(upper.exp(), [[3e-20, 1e-20]], rtol=1e-12)
    np.testing.assert_allclose(lower.exp(), [[1, 1]])


@pytest.mark.parametrize("loss", [Cumulative(), Conditional()])
def test_gradients(loss: Cumulative | Conditional) -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([[1, 0, 0, 0], [0.2, 0.8, 0, 0], [0, 0, 0.5, 0.5]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x.log_softmax(1), target), logits)
