"""Dice and cross entropy against hand-worked cases, a plain reference and finite differences."""

import math

import numpy as np
import pytest
import torch

from voxfield.segmentation.losses import cross_entropy, dice_cross_entropy, soft_dice


def voxels(*logits: tuple[float, ...]) -> torch.Tensor:
    """Logits (1, c, n, 1, 1) of n voxels."""
    return torch.tensor(logits, dtype=torch.float64).T.reshape(1, len(logits[0]), len(logits), 1, 1)


def row(*values: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype).reshape(1, -1, 1, 1)


def classes(*values: int) -> torch.Tensor:
    return row(*values, dtype=torch.int64)


def test_one_undecided_voxel_by_hand() -> None:
    logits, target, weight = voxels((0.0, 0.0)), classes(1), row(1.0)
    assert cross_entropy(logits, target, weight).item() == pytest.approx(math.log(2))
    # p = 1/2, t = 1, s = 1: D = (2 * 1/2 + 1) / (1/2 + 1 + 1)
    assert soft_dice(logits, target, weight).item() == pytest.approx(1 - 2 / 2.5)


def test_weights_by_hand() -> None:
    # p(foreground) is 3/4 and 1/4; both voxels are foreground, with weights 1 and 3.
    logits = voxels((0.0, math.log(3)), (math.log(3), 0.0))
    target, weight = classes(1, 1), row(1.0, 3.0)
    expected = -(math.log(3 / 4) + 3 * math.log(1 / 4)) / 4
    assert cross_entropy(logits, target, weight).item() == pytest.approx(expected)
    overlap = 3 / 4 + 3 / 4
    assert soft_dice(logits, target, weight, smooth=0).item() == pytest.approx(1 - 2 * overlap / (1.5 + 4))


def test_dice_is_the_mean_over_foreground_classes() -> None:
    logits = torch.full((1, 3, 2, 1, 1), -30.0, dtype=torch.float64)
    logits[0, 1, :] = 30.0  # everything is called class 1; one voxel is class 2
    loss = soft_dice(logits, classes(1, 2), row(1.0, 1.0), smooth=0)
    assert loss.item() == pytest.approx(1 - (2 / 3 + 0) / 2)


def test_perfect_prediction_costs_nothing() -> None:
    logits = voxels((40.0, -40.0), (-40.0, 40.0))
    assert dice_cross_entropy(logits, classes(0, 1), row(1.0, 1.0)).item() == pytest.approx(0, abs=1e-6)


def test_unannotated_voxels_have_exactly_zero_gradient_and_no_say() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 4, 4, 4, generator=generator, requires_grad=True)
    target = torch.randint(3, (2, 4, 4, 4), generator=generator)
    weight = (torch.rand(2, 4, 4, 4, generator=generator) < 0.3).float()
    loss = dice_cross_entropy(logits, target, weight)
    loss.backward()
    unseen = (weight == 0).unsqueeze(1).expand_as(logits)
    assert logits.grad is not None
    assert (logits.grad[unseen] == 0).all()
    assert (logits.grad[~unseen] != 0).any()
    other = torch.where(unseen, torch.randn(logits.shape, generator=generator), logits.detach())
    relabelled = torch.where(weight == 0, (target + 1) % 3, target)
    assert dice_cross_entropy(other, relabelled, weight).item() == loss.item()


def test_nothing_annotated_is_finite_and_teaches_nothing() -> None:
    logits = torch.randn(1, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = dice_cross_entropy(logits, torch.zeros(1, 3, 3, 3, dtype=torch.int64), torch.zeros(1, 3, 3, 3))
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_against_a_plain_reference_and_finite_differences() -> None:
    rng = np.random.default_rng(1)
    values, target, weight = (
        rng.normal(size=(2, 3, 2, 2, 2)),
        rng.integers(3, size=(2, 2, 2, 2)),
        rng.random((2, 2, 2, 2)),
    )
    p = np.exp(values) / np.exp(values).sum(1, keepdims=True)
    nats, dice = 0.0, []
    for where in np.ndindex(2, 2, 2, 2):
        nats -= weight[where] * math.log(p[where[0], target[where], *where[1:]])
    for c in (1, 2):
        pc, tc = p[:, c], target == c
        dice.append((2 * (weight * pc * tc).sum() + 1) / ((weight * pc).sum() + (weight * tc).sum() + 1))
    logits, t, w = torch.tensor(values, requires_grad=True), torch.tensor(target), torch.tensor(weight)
    assert cross_entropy(logits, t, w).item() == pytest.approx(nats / weight.sum())
    assert soft_dice(logits, t, w).item() == pytest.approx(1 - np.mean(dice))
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, t, w) + soft_dice(x, t, w), logits)
