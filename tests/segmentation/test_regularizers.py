"""What every regularizer of the training objective has in common."""

import re
from dataclasses import fields
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from voxfield.artifacts import Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.errors import SettingsError
from voxfield.plugins import find
from voxfield.segmentation import train
from voxfield.segmentation.losses import Regularizer, Truth, objective
from voxfield.segmentation.losses._objective import REGULARIZERS
from voxfield.segmentation.losses._tube import tube

BUILT_IN = sorted(name for name, target in REGULARIZERS.items() if target.startswith("voxfield."))
SPACING = (0.7, 1.0, 2.5)


def term(name: str, **arguments: Any) -> Regularizer:
    return objective({name: {"weight": 1.0, **arguments}}).terms[name][1]


def truth_of(target: Tensor, weight: Tensor | None = None) -> Truth:
    tubes = [torch.from_numpy(tube(case.numpy().astype(np.uint8), 255)) for case in target]
    weight = torch.ones(target.shape) if weight is None else weight
    return Truth(target, weight, SPACING, torch.stack(tubes).long())


@cache
def random_case(side: int = 6, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Logits (2, classes, ...) float64 and target (2, ...)."""
    generator = torch.Generator().manual_seed(side)
    logits = torch.randn(2, classes, side, side, side, generator=generator, dtype=torch.float64)
    target = (torch.rand(2, side, side, side, generator=generator) * 1.8).long()
    target[:, 1:3, 1:3, :] = 1
    target[:, 4:, 4:, :] = classes - 1
    return logits, target


def bar() -> Tensor:
    target = torch.zeros(1, 9, 9, 24, dtype=torch.int64)
    target[:, 2:7, 2:7, 2:22] = 1
    return target


def logits_of(probability: Tensor) -> Tensor:
    """Two classes, (b, 2, x, y, z)."""
    return torch.stack([torch.zeros_like(probability), probability.logit()], dim=1)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_perfect_prediction_costs_nothing(name: str) -> None:
    _, target = random_case()
    truth = truth_of(target)
    logits = 80.0 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
    assert term(name)(logits, truth).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", BUILT_IN)
def test_closing_a_gap_pays(name: str) -> None:
    truth = truth_of(bar())
    values = []
    for filling in (0.02, 0.3, 0.7, 0.98):
        probability = torch.where(truth.target > 0, 0.98, 0.02).double()
        probability[:, 2:7, 2:7, 11:14] = filling
        values.append(term(name)(logits_of(probability), truth).item())
    assert values[0] > values[1] > values[2] > values[3] >= 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_unannotated_voxels_have_exactly_zero_gradient_and_no_say(name: str) -> None:
    logits, target = random_case()
    generator = torch.Generator().manual_seed(1)
    weight = (torch.rand(target.shape, generator=generator) < 0.6).float()
    truth = truth_of(target, weight)
    logits = logits.float().clone().requires_grad_()
    value = term(name)(logits, truth)
    value.backward()
    unseen = (weight == 0).unsqueeze(1).expand_as(logits)
    assert logits.grad is not None
    assert (logits.grad[unseen] == 0).all()
    assert (logits.grad[~unseen] != 0).any()
    other = torch.where(unseen, torch.randn(logits.shape, generator=generator), logits.detach())
    assert truth.tube is not None
    elsewhere = [torch.where(weight == 0, (labels + 1) % 3, labels) for labels in (target, truth.tube)]
    again = Truth(elsewhere[0], weight, SPACING, elsewhere[1])
    assert term(name)(other, again).item() == value.item()


@pytest.mark.parametrize("name", BUILT_IN)
def test_nothing_annotated_is_finite_and_teaches_nothing(name: str) -> None:
    logits, target = random_case()
    logits = logits.clone().requires_grad_()
    value = term(name)(logits, truth_of(target, torch.zeros(target.shape)))
    assert torch.isfinite(value)
    (value + 0 * logits.sum()).backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("hidden", [False, True])
def test_gradients_are_those_of_finite_differences(name: str, hidden: bool) -> None:
    logits, target = random_case(side=5)
    logits, target = logits[:1, :, :, :4, :3].clone().requires_grad_(), target[:1, :, :4, :3]
    weight = torch.ones(target.shape)
    if hidden:
        weight[:, 2, :, 1:] = 0
    truth = truth_of(target, weight)
    assert torch.autograd.gradcheck(lambda x: term(name)(x, truth), logits)


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "scope"])  # its cubes begin at a corner
def test_turning_the_patch_changes_nothing(name: str) -> None:
    logits, target = random_case()
    truth = truth_of(target)
    value = term(name)(logits, truth).item()
    assert truth.tube is not None
    for axes in permutations(range(3)):
        turned = [
            volume.permute(*range(volume.dim() - 3), *(volume.dim() - 3 + a for a in axes)).flip(-1)
            for volume in (logits, truth.target, truth.weight, truth.tube)
        ]
        spacing = (SPACING[axes[0]], SPACING[axes[1]], SPACING[axes[2]])
        again = Truth(turned[1], turned[2], spacing, turned[3])
        assert term(name)(turned[0], again).item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", BUILT_IN)
def test_classes_count_the_same(name: str) -> None:
    """A class that is told and shown nowhere adds its own, perfect, value to the mean."""
    logits, target = random_case(classes=2)
    truth = truth_of(target)
    more = torch.cat([logits, torch.full_like(logits[:, :1], -200.0)], dim=1)
    assert term(name)(more, truth).item() == pytest.approx(term(name)(logits, truth).item() / 2, rel=1e-6)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_network_without_foreground_is_refused(name: str) -> None:
    logits, target = random_case()
    with pytest.raises(SettingsError, match="expect background and at least one more"):
        term(name)(logits[:, :1], truth_of(target))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", BUILT_IN)
def test_cpu_and_gpu_agree(name: str) -> None:
    logits, target = random_case(side=12)
    truth = truth_of(target)
    assert truth.tube is not None
    there = Truth(truth.target.cuda(), truth.weight.cuda(), SPACING, truth.tube.cuda())
    found = []
    for device, case in (("cpu", truth), ("cuda", there)):
        given = logits.to(device=device, dtype=torch.float32).requires_grad_()
        value = term(name)(given, case)
        value.backward()
        assert given.grad is not None
        found.append((value.detach().cpu(), given.grad.cpu()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_all_of_them_train_together() -> None:
    mask = np.zeros((16, 16, 16), dtype=np.uint8)
    mask[5:11, 5:11, :] = 1
    mask[:, :, 12:] = 255
    affine = np.diag([*SPACING, 1.0])
    labels = LabelMap(mask, affine, unannotated=255)
    image = Image((mask == 1).astype(np.float32), affine)
    cohort = Cohort({"subject": ["a"], "annotation": ["sparse"]})
    weights: dict[str, float | dict[str, float | int | str]] = dict.fromkeys(BUILT_IN, 0.1)
    found = train(
        cohort, [image], [labels], steps=2, batch=1, patch=(16, 16, 16), channels=(4, 8), regularizers=weights,
        ctx=Context(device="cpu"),
    )  # fmt: skip
    curve = found.metrics.values["loss_curve"]
    assert all(np.isfinite(curve[name]).all() for name in BUILT_IN)


def test_the_page_lists_every_term_with_its_arguments() -> None:
    page = (Path(__file__).parents[2] / "docs" / "segmentation.md").read_text().split("## Terms")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, flags=re.MULTILINE))
    expected = {}
    for name in BUILT_IN:
        known = fields(find("voxfield.segmentation.regularizers", REGULARIZERS, name))
        expected[name] = ", ".join(f"`{f.name}` {f.default}" for f in known)
    assert {name: cell.strip() for name, cell in rows.items()} == expected
