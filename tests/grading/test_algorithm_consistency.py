"""FixMatch and the Pi-model worked by hand, and the ramp."""

import math

import pytest
import torch

from grading.toy_nets import Logits, Squared, batch, nets, rows, shifted
from voxfield.grading.algorithms._consistency import sigmoid_ramp, squared_distance
from voxfield.grading.algorithms.fixmatch import FixMatch
from voxfield.grading.algorithms.pi import PiModel

sigmoid = torch.sigmoid


def logits(*probability: float) -> list[float]:
    return [math.log(p) for p in probability]


def test_fixmatch_by_hand() -> None:
    unlabelled = rows(logits(0.96, 0.03, 0.01), logits(0.9, 0.06, 0.04), logits(0.02, 0.02, 0.96))
    given = batch(rows(logits(0.5, 0.25, 0.25)), [2], unlabelled)
    # Shifts by a row leave the softmax alone, so that strong views are weak ones: accepted are rows 0 and 2.
    loss, figures = FixMatch(weight=2.0).loss(given, nets(Logits(), None, shifted([0.0, 1.0])))
    assert figures["accepted"] == pytest.approx(2 / 3)
    torch.testing.assert_close(loss, torch.tensor(math.log(4) + 2 * (-2 * math.log(0.96)) / 3))


def test_fixmatch_learns_from_the_strong_view_alone() -> None:
    student = Squared()
    given = batch(rows(0.0), [0], rows(2.0, 1.0))  # sigmoid(4) = .982 is accepted, sigmoid(1) = .73 is not
    loss, figures = FixMatch().loss(given, nets(student, None, shifted([0.0, -1.0])))
    assert figures["accepted"] == 0.5
    torch.testing.assert_close(loss, (math.log(2) - sigmoid(torch.tensor(1.0)).log() / 2))
    loss.backward()
    # z = (scale * x)^2 with x = 1 in the strong view: d(-log sigmoid(z)) = -(1 - sigmoid(z)) dz, dz = 2 scale x^2 = 2
    torch.testing.assert_close(student.scale.grad, -(1 - sigmoid(torch.tensor([1.0]))) * 2 / 2)


def test_the_pi_model_by_hand() -> None:
    given = batch(rows(1.0), [1], rows(0.0, 1.0), progress=0.125)
    method = PiModel(weight=4.0, ramp=0.25)
    loss, figures = method.loss(given, nets(Squared(), None, shifted([0.0, 1.0, 2.0])))
    apart = (sigmoid(torch.tensor([1.0, 4.0])) - sigmoid(torch.tensor([4.0, 9.0]))).square().mean()
    assert figures["consistency"] == pytest.approx(float(apart))
    known = -sigmoid(torch.tensor(-1.0)).log()
    torch.testing.assert_close(loss, known + 4 * math.exp(-5 / 4) * apart)


def test_the_ramp_rises_to_one_and_may_be_left_out() -> None:
    assert sigmoid_ramp(0.0, 0.5) == pytest.approx(math.exp(-5))
    assert sigmoid_ramp(0.25, 0.5) == pytest.approx(math.exp(-5 / 4))
    assert sigmoid_ramp(0.5, 0.5) == sigmoid_ramp(0.9, 0.5) == sigmoid_ramp(0.0, 0.0) == 1.0


def test_the_distance_by_hand() -> None:
    p, q = torch.tensor([[0.5, 0.3, 0.2]]).log(), torch.tensor([[0.2, 0.3, 0.5]]).log()
    torch.testing.assert_close(squared_distance(p, q), torch.tensor([(0.09 + 0.09) / 3]))
