"""Mixing rows, and the methods that do: MixUp, interpolation consistency and Semixup, worked by hand."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.toy_nets import Squared, batch, nets, rows, shifted
from voxfield.grading.algorithms import _mixing, interpolation, semixup
from voxfield.grading.algorithms._mixing import beta_shares, interpolate, mix, partners
from voxfield.grading.algorithms.base import Inputs
from voxfield.grading.algorithms.interpolation import Interpolation
from voxfield.grading.algorithms.mixup import MixUp
from voxfield.grading.algorithms.semixup import Semixup

sigmoid = torch.sigmoid


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values)


@pytest.fixture
def quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every share is a quarter: of two rows the first mix is a quarter of row 0 and three of row 1."""
    for module in (_mixing, interpolation, semixup):
        monkeypatch.setattr(module, "beta_shares", lambda count, alpha, generator: torch.full((count,), 0.25))


@given(st.integers(2, 40), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_partners_are_others(count: int, seed: int) -> None:
    order = partners(count, torch.Generator().manual_seed(seed))
    assert sorted(order.tolist()) == list(range(count))
    assert not (order == torch.arange(count)).any()


@given(st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_log_probabilities_interpolate_like_logits(seed: int, share: float) -> None:
    first, second = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(4)
    shares = torch.full((3,), share, dtype=torch.float64)
    found = interpolate(first.log_softmax(1), second.log_softmax(1), shares)
    torch.testing.assert_close(found, (share * first + (1 - share) * second).log_softmax(1))


def test_shares_have_the_moments_of_their_distribution_and_need_no_global_state() -> None:
    drawn = [beta_shares(20_000, 0.75, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*drawn)
    assert float(drawn[0].mean()) == pytest.approx(0.5, abs=0.01)
    assert float(drawn[0].var()) == pytest.approx(1 / (4 * (2 * 0.75 + 1)), rel=0.03)


@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (2, 1, 3, 4, 5)])
def test_images_and_features_mix_row_by_row(shape: tuple[int, ...]) -> None:
    first, second = (
        Inputs(torch.zeros(shape), torch.zeros(2, 3), torch.tensor([4, 5])),
        Inputs(torch.ones(shape), torch.ones(2, 3), torch.tensor([6, 7])),
    )
    mixed = mix(first, second, t(0.25, 1.0))
    assert mixed.image is not None
    assert mixed.features is not None
    assert torch.equal(mixed.image, torch.stack([torch.full(shape[1:], 0.75), torch.zeros(shape[1:])]))
    assert mixed.features.tolist() == [[0.75] * 3, [0.0] * 3]
    assert mixed.rows.tolist() == [-1, -1]  # no memory may take a mix for a row
    assert mix(Inputs(None, first.features, first.rows), second, t(0.5, 0.5)).image is None


LABELLED = batch(rows(0.0, 1.0), [0, 1], None)
# Strong views are one further: 1 and 2. Mixed a quarter to three: 1.75 with the target (.25, .75), and 1.25.
MIXED = -(t(0.25, 0.75) * sigmoid(t(1.75**2, 1.25**2)).log() + t(0.75, 0.25) * sigmoid(-t(1.75**2, 1.25**2)).log())


@pytest.mark.usefixtures("quarter")
def test_mixup_by_hand() -> None:
    loss, _ = MixUp().loss(LABELLED, nets(Squared(), None, shifted([1.0])))
    torch.testing.assert_close(loss, MIXED.mean())


@pytest.mark.usefixtures("quarter")
def test_interpolation_consistency_by_hand() -> None:
    given = batch(rows(0.0, 1.0), [0, 1], rows(0.0, 2.0))
    loss, figures = Interpolation(weight=3.0).loss(given, nets(Squared(), Squared(), shifted([1.0])))
    # mixes 1.5 and .5 have the logits 2.25 and .25; those of the ends are 0 and 4, so that 3 and 1 are expected
    expected = (sigmoid(t(2.25, 0.25)) - sigmoid(t(3.0, 1.0))).square().mean()
    supervised = -(sigmoid(t(1.0)).log() + sigmoid(-t(4.0)).log()).mean() / 2
    assert figures["consistency"] == pytest.approx(float(expected))
    torch.testing.assert_close(loss, supervised + 3 * expected)


def semixup_terms(x: float, other: float, mixed: float, between: float) -> tuple[Any, Any, Any]:
    """In-manifold, interpolated and out-of-manifold of a row, its strong view being one further."""
    p, q, m = sigmoid(t(x**2)), sigmoid(t((x + 1) ** 2)), sigmoid(t(mixed**2))
    return (q - p) ** 2, (m - sigmoid(t(between))) ** 2, (p - m) ** 2 + (q - m) ** 2


@pytest.mark.usefixtures("quarter")
def test_semixup_by_hand() -> None:
    given = batch(rows(0.0, 1.0), [0, 1], rows(0.0, 2.0))
    method = Semixup(in_manifold=3.0, interpolated=5.0, out_of_manifold=7.0)
    loss, figures = method.loss(given, nets(Squared(), None, shifted([1.0, 1.0])))
    # a quarter becomes three quarters, so that a mix is nearer to its first row: .5 and 1.5, logits .25 * 4 and .75 * 4
    first, second = semixup_terms(0.0, 2.0, 0.5, 1.0), semixup_terms(2.0, 0.0, 1.5, 3.0)
    inside, along, beside = (((a + b) / 2).squeeze() for a, b in zip(first, second, strict=True))
    assert figures["in_manifold"] == pytest.approx(float(inside))
    assert figures["interpolated"] == pytest.approx(float(along))
    assert figures["out_of_manifold"] == pytest.approx(float(beside))
    torch.testing.assert_close(loss, MIXED.mean() + 3 * inside + 5 * along + 7 * beside)


def test_semixup_stays_nearer_to_its_row() -> None:
    share = Semixup()._shares(1000, torch.Generator().manual_seed(0))
    assert share.min() == pytest.approx(0.55)
    assert share.max() <= 1


def test_what_is_linear_is_consistent_between_rows() -> None:
    """A network whose logits are linear in its input has nothing to learn from an interpolation."""
    line = lambda image, features: features.log_softmax(1)  # noqa: E731
    given = batch(rows([1.0, 0.0], [0.0, 3.0]), [0, 1], rows([5.0, 0.0], [0.0, 2.0], [-1.0, 1.0]))
    for method, name in ((Interpolation(), "consistency"), (Semixup(), "interpolated")):
        _, figures = method.loss(given, nets(line, line, shifted([0.0, 0.0])))
        assert figures[name] == pytest.approx(0.0, abs=1e-12)


def test_the_target_of_interpolation_does_not_learn() -> None:
    student, teacher = Squared(), Squared()
    given = batch(rows(0.0, 1.0), [0, 1], rows(0.3, 2.0))
    Interpolation().loss(given, nets(student, teacher, shifted([1.0])))[0].backward()
    assert student.scale.grad.any()
    assert teacher.scale.grad is None


def test_both_sides_of_semixup_learn() -> None:
    x = torch.tensor([[0.3], [2.0]], requires_grad=True)
    given = batch(rows(0.0, 1.0), [0, 1], Inputs(None, x, torch.arange(2)))
    only = Semixup(in_manifold=1.0, interpolated=0.0, out_of_manifold=0.0)
    [slope] = torch.autograd.grad(only.loss(given, nets(Squared(), None, shifted([1.0, 1.0])))[0], x)
    # d/dx of the mean of (sigmoid((x + 1)^2) - sigmoid(x^2))^2
    p, q = sigmoid(x.detach() ** 2), sigmoid((x.detach() + 1) ** 2)
    both = (q - p) * (q * (1 - q) * 2 * (x.detach() + 1) - p * (1 - p) * 2 * x.detach())
    torch.testing.assert_close(slope, both)
