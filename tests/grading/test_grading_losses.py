"""Losses, heads and temperature: hand-worked values, gradients, and what must hold for any numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxfield.grading.algorithms.fixmatch_ordinal import sharpen, window_mass
from voxfield.grading.calibration import Temperature, apply_temperature, fit_temperature
from voxfield.grading.losses.ordinal import cross_entropy, one_hot, ranked_probability
from voxfield.grading.metrics import scores
from voxfield.grading.metrics.scores import median_grade
from voxfield.grading.networks.heads import OrderedHead, SoftmaxHead

MASSES = arrays(np.float64, (3, 4), elements=st.floats(0.001, 1)).map(lambda a: a / a.sum(1, keepdims=True))


def test_cross_entropy_by_hand() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25]])
    soft = torch.tensor([[0.5, 0.5, 0.0]])
    assert cross_entropy(p.log(), soft).item() == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(4))


def test_ranked_probability_by_hand() -> None:
    p = torch.tensor([[0.5, 0.3, 0.2]])
    assert ranked_probability(p.log(), one_hot(torch.tensor([1]), 3)).item() == pytest.approx(0.145)
    # against the soft target (.5, .5, 0): F - G = (0, -.2), squared .04, over 2
    assert ranked_probability(p.log(), torch.tensor([[0.5, 0.5, 0.0]])).item() == pytest.approx(0.02)


@given(MASSES)
@settings(max_examples=25, deadline=None)
def test_loss_is_the_score(p: np.ndarray) -> None:
    truth = [0, 2, 3]
    loss = ranked_probability(torch.from_numpy(p).log(), one_hot(torch.tensor(truth), 4).double())
    np.testing.assert_allclose(loss.numpy(), scores.ranked_probability(p, truth), atol=1e-12)


@pytest.mark.parametrize("loss", [cross_entropy, ranked_probability])
def test_gradients(loss: object) -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([[1, 0, 0, 0], [0.2, 0.8, 0, 0], [0, 0, 0.5, 0.5]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x.log_softmax(1), target), logits)  # type: ignore[operator]


@pytest.mark.parametrize("head", [OrderedHead(3, 5), SoftmaxHead(3, 5)])
def test_heads_give_distributions_and_gradients(head: torch.nn.Module) -> None:
    head = head.double()
    points = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(head(points).exp().sum(1), torch.ones(7, dtype=torch.float64))
    assert torch.autograd.gradcheck(head, points.requires_grad_())


def test_ordered_head_by_hand() -> None:
    head = OrderedHead(1, 3)
    with torch.no_grad():
        head.score.weight.fill_(1.0)
        head.score.bias.fill_(0.0)
    p = head(torch.zeros(1, 1)).exp()
    torch.testing.assert_close(p, torch.full((1, 3), 1 / 3), atol=1e-4, rtol=0)
    far = head(torch.tensor([[30.0], [-300.0]]))
    assert torch.isfinite(far).all()
    assert far[0].argmax() == 2
    assert far[1].argmax() == 0


def test_window_and_sharpening_by_hand() -> None:
    p = torch.tensor([[0.5, 0.45, 0.05, 0.0], [0.1, 0.2, 0.6, 0.1], [0.4, 0.0, 0.1, 0.5]])
    torch.testing.assert_close(window_mass(p), torch.tensor([0.95, 0.9, 0.6]))
    torch.testing.assert_close(sharpen(torch.tensor([[0.6, 0.3, 0.1]]), 2.0)[0, 0], torch.tensor(0.36 / 0.46))


@given(MASSES, st.floats(0.2, 5))
@settings(max_examples=50, deadline=None)
def test_temperature_keeps_distribution_and_median(p: np.ndarray, temperature: float) -> None:
    q = apply_temperature(p, temperature)
    np.testing.assert_allclose(q.sum(1), 1)
    assert (q >= 0).all()
    clear = (np.abs(np.cumsum(p, axis=1)[:, :-1] - 0.5) > 1e-9).all(1)
    np.testing.assert_array_equal(median_grade(q)[clear], median_grade(p)[clear])
    np.testing.assert_allclose(apply_temperature(p, 1.0), p, atol=1e-12)


def test_temperature_of_two_grades_is_that_of_guo() -> None:
    logits = np.array([[0.3, 1.7]])
    p, q = (np.exp(z) / np.exp(z).sum() for z in (logits, logits / 2.5))
    np.testing.assert_allclose(apply_temperature(p, 2.5), q)
    np.testing.assert_allclose(apply_temperature(p, 2.5, "classes"), q)


def test_temperature_is_found_again() -> None:
    """Grades drawn from p, the network twice as sure of itself as it may be."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(5, 0.7), 3000)
    truth = [int(rng.choice(5, p=row)) for row in p]
    found = fit_temperature(apply_temperature(p, 0.5), truth, list(range(3000)))
    assert found.of == "tails"
    assert found.value == pytest.approx(2.0, rel=0.05)


def test_temperature_of_classes_is_found_again() -> None:
    """The same by class logits: the likelier form is the one that was spoilt."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(5, 0.7), 3000)
    truth = [int(rng.choice(5, p=row)) for row in p]
    found = fit_temperature(apply_temperature(p, 0.5, "classes"), truth, list(range(3000)))
    assert found.of == "classes"
    assert found.value == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(apply_temperature(apply_temperature(p, 0.5, "classes"), 2.0, "classes"), p, atol=1e-6)


def test_temperature_without_data_is_one() -> None:
    assert fit_temperature(np.zeros((0, 3)), [], []) == Temperature()


def test_temperature_counts_patients_not_rows() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1]])
    once = fit_temperature(p, [0, 1], ["a", "b"])
    many = fit_temperature(p[[0] * 9 + [1]], [0] * 9 + [1], ["a"] * 9 + ["b"])
    assert many.value == pytest.approx(once.value, rel=1e-3)
