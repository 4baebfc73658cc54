"""AdaMixUp worked by hand: shares out of learnt regions, mixes and scans told apart."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from grading.toy_nets import Squared, batch, nets, rows, shifted
from voxfield.grading.algorithms.adamixup import AdaMixUp, learned_shares
from voxfield.grading.algorithms.base import Inputs
from voxfield.grading.components import Labels, Sizes

sigmoid = torch.sigmoid


class Region(nn.Module):  # type: ignore[misc]
    """The same region [start, start + width] for every pair."""

    def __init__(self, start: float, width: float) -> None:
        super().__init__()
        rest = 1 - start - width
        self.logits = nn.Parameter(torch.tensor([start, width, rest]).clamp_min(1e-30).log())
        self.seen: list[Any] = []

    def forward(self, image: Any, features: Tensor) -> Tensor:
        """Log of (start, width, rest), (n, 3)."""
        self.seen.append(features)
        return self.logits.log_softmax(0).expand(len(features), 3)


def parts(start: float, width: float) -> dict[str, Any]:
    """A region, and a judge whose logit is the embedding itself: high ones are scans."""
    return {"region": Region(start, width), "intrusion": nn.Identity()}


@pytest.mark.parametrize("unlabelled", [None, rows(3.0, 4.0)])
def test_adamixup_by_hand(unlabelled: Inputs | None) -> None:
    given = batch(rows(0.0, 1.0), [0, 1], unlabelled)
    loss, figures = AdaMixUp().loss(given, nets(Squared(), None, shifted([1.0, 0.0]), parts(0.25, 0.0)))
    # strong views 1 and 2, mixed a quarter to three: 1.75 of the target (.25, .75) and 1.25 of (.75, .25)
    z, own = torch.tensor([1.75, 1.25]), torch.tensor([0.25, 0.75])
    mixing = -(own * sigmoid(z**2).log() + (1 - own) * sigmoid(-(z**2)).log()).mean()
    supervised = -(sigmoid(torch.tensor(1.0)).log() + sigmoid(torch.tensor(-4.0)).log()) / 2
    scans = torch.tensor([1.0, 2.0] if unlabelled is None else [1.0, 2.0, 3.0, 4.0])
    intrusion = softplus(-scans).mean() + softplus(z).mean()
    assert figures["mixing"] == pytest.approx(float(mixing))
    assert figures["intrusion"] == pytest.approx(float(intrusion))
    torch.testing.assert_close(loss, supervised + mixing + intrusion)


def test_shares_fill_the_region_and_the_generator_sees_noise() -> None:
    region, first = Region(0.2, 0.3), Inputs(None, torch.ones(5000, 2), torch.arange(5000))
    with torch.no_grad():
        share, width = learned_shares(region, first, first, torch.Generator().manual_seed(0))
    torch.testing.assert_close(width, torch.full((5000,), 0.3))
    assert 0.2 <= share.min() < 0.201
    assert 0.499 < share.max() <= 0.5
    assert float(share.std()) == pytest.approx(0.3 / math.sqrt(12), rel=0.03)
    [seen] = region.seen
    # (n1 + n2) / 2, normal cut off at 2: variance 1 - 4 phi(2) / (2 Phi(2) - 1) = .774 each
    assert seen.abs().max() <= 2
    assert float(seen.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(seen.var()) == pytest.approx(0.774 / 2, rel=0.05)


def test_the_generator_learns_through_mixes_targets_and_judge() -> None:
    """The slope of the loss along the start of the region, against a difference quotient."""
    given = batch(rows(0.0, 1.0), [0, 1], None)

    def loss(held: dict[str, Any]) -> Tensor:
        return AdaMixUp().loss(given, nets(Squared(), None, shifted([1.0]), held))[0]

    held = parts(0.25, 0.1)
    [slope] = torch.autograd.grad(loss(held), held["region"].logits)
    step = torch.tensor([1e-2, 0.0, 0.0])
    with torch.no_grad():
        held["region"].logits += step
        high = loss(held)
        held["region"].logits -= 2 * step
        low = loss(held)
    assert float(slope[0]) == pytest.approx(float(high - low) / 2e-2, rel=1e-2)
    assert abs(float(slope[0])) > 1e-3


@pytest.mark.parametrize(("image", "features"), [((8, 9), 0), ((8, 8, 8), 0), (None, 5), ((8, 9), 5)])
def test_generator_and_judge_fit_every_input(image: tuple[int, ...] | None, features: int) -> None:
    made = AdaMixUp().begin(Labels(torch.tensor([0, 1, -1]), None, 2), Sizes(7, 2, image, features))
    seen = (None if image is None else torch.rand(3, 1, *image)), (torch.rand(3, features) if features else None)
    found = made["region"](*seen).exp()
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    assert made["intrusion"](torch.rand(3, 7)).shape == (3, 1)
