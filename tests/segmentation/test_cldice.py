"""Soft skeletons against the paper's own recursion, and clDice by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import max_pool3d

from voxfield.errors import SettingsError
from voxfield.segmentation.losses import Truth, objective
from voxfield.segmentation.losses._cldice import SoftClDice
from voxfield.segmentation.losses._soft_skeleton import hard_skeleton, soft_skeleton


def by_pooling(volume: Tensor, iterations: int) -> Tensor:
    """The recursion of the paper, by poolings and automatic differentiation."""

    def erode(x: Tensor) -> Tensor:
        crosses = [((3, 1, 1), (1, 0, 0)), ((1, 3, 1), (0, 1, 0)), ((1, 1, 3), (0, 0, 1))]
        least = [-max_pool3d(-x, size, 1, room) for size, room in crosses]
        return torch.minimum(torch.minimum(least[0], least[1]), least[2])

    def removed(x: Tensor) -> Tensor:
        return torch.relu(x - max_pool3d(erode(x), 3, 1, 1))

    skeleton = removed(volume)
    for _ in range(iterations):
        volume = erode(volume)
        more = removed(volume)
        skeleton = skeleton + torch.relu(more - skeleton * more)
    return skeleton


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_value_and_gradient_are_those_of_the_recursion(iterations: int) -> None:
    generator = torch.Generator().manual_seed(iterations)
    weights = torch.rand(2, 2, 7, 8, 9, generator=generator, dtype=torch.float64)
    gradients = []
    for skeleton in (by_pooling, lambda p, n: soft_skeleton(p, None, n)):
        p = torch.rand(2, 2, 7, 8, 9, generator=torch.Generator().manual_seed(9), dtype=torch.float64).requires_grad_()
        value = skeleton(p, iterations)
        (value * weights).sum().backward()
        gradients.append((value.detach(), p.grad))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_the_skeleton_of_a_mask_is_the_soft_one(seed: int, iterations: int, hidden: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.nn.functional.avg_pool3d(torch.randn(1, 1, 12, 12, 12, generator=generator), 3, 1)
    mask = smooth > 0
    known = torch.rand(1, 1, 10, 10, 10, generator=generator) < 0.7 if hidden else None
    if known is not None:
        mask = mask & known
    soft = soft_skeleton(mask.double(), known, iterations)
    assert torch.allclose(hard_skeleton(mask, known, iterations).double(), soft, atol=1e-5)


def test_a_bar_thins_to_its_axis() -> None:
    bar = torch.zeros(1, 1, 9, 9, 20, dtype=torch.float64)
    bar[:, :, 2:7, 2:7, :] = 1
    skeleton = soft_skeleton(bar, None, 10)
    middle = skeleton[0, 0, :, :, 10]
    assert middle[4, 4] == pytest.approx(1, abs=1e-5)
    assert middle.sum() == pytest.approx(1, abs=1e-5)


def test_too_few_iterations_leave_a_thick_part_without_skeleton() -> None:
    ball = torch.zeros(1, 1, 15, 15, 15, dtype=torch.bool)
    ball[:, :, 2:13, 2:13, 2:13] = True
    assert not hard_skeleton(ball, None, 3)[0, 0, 7, 7, 7]
    assert hard_skeleton(ball, None, 6)[0, 0, 7, 7, 7]


def line(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, -1, 1, 1)


def test_cldice_of_a_line_by_hand() -> None:
    target = line([0, 1, 1, 1, 0, 0, 0])
    told = line([0.0, 0.5, 0.5, 0.5, 0.0, 0.25, 0.0]).clamp(1e-12)
    # E_1 is .5 in the centre and O_0 .5 on all three: the speck is removed. E_2 = 0: then the centre is.
    soft = soft_skeleton(told, None, 1).flatten()
    assert soft.tolist() == pytest.approx([0, 0, 0.5, 0, 0, 0.25, 0], abs=1e-6)
    precision = (0.5 + 1) / (0.75 + 1)
    sensitivity = (0.5 + 1) / (1 + 1)
    logits = torch.cat([(1 - told).log(), told.log()], dim=1)
    truth = Truth(target[:, 0].long(), torch.ones_like(target[:, 0]), (1.0, 1.0, 1.0))
    expected = 1 - 2 * precision * sensitivity / (precision + sensitivity)
    assert SoftClDice(iterations=1)(logits, truth).item() == pytest.approx(expected, abs=1e-6)


def test_annotated_slices_are_skeletonised_each_for_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 9, 12, 12, generator=generator, dtype=torch.float64)
    target = torch.zeros(1, 9, 12, 12, dtype=torch.int64)
    target[:, :, 3:8, 2:10] = 1
    weight = torch.zeros(1, 9, 12, 12)
    weight[:, ::3] = 1
    sparse = SoftClDice()(logits, Truth(target, weight, (1.0, 1.0, 1.0)))
    slices = logits[0, :, ::3].movedim(1, 0).unsqueeze(2)
    alone = Truth(target[0, ::3].unsqueeze(1), weight[0, ::3].unsqueeze(1), (1.0, 1.0, 1.0))
    torch.testing.assert_close(SoftClDice()(slices, alone), sparse)


def test_no_erosion_is_refused() -> None:
    with pytest.raises(SettingsError, match="iterations is 0; expected at least 1"):
        objective({"cldice": {"weight": 1.0, "iterations": 0}})
