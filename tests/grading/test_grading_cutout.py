"""Cutout erases one square or cube of a fixed side, whose centre may lie anywhere in the image."""

from dataclasses import replace

import pytest
import torch

from voxfield.errors import SettingsError
from voxfield.grading import augment
from voxfield.grading.algorithms import ALGORITHMS
from voxfield.grading.algorithms.supervised import Supervised
from voxfield.grading.components import make

ONLY = augment.Strength(shift=0, noise=0, cutout=0.5)


def holes(shape: tuple[int, ...], count: int = 2000) -> torch.Tensor:
    """What is erased of `count` images of that shape: (n, *shape), true inside."""
    images = torch.ones(count, 1, *shape)
    return augment.view_images(images, ONLY, (), torch.Generator().manual_seed(0))[:, 0] == 0


@pytest.mark.parametrize("shape", [(12, 8), (6, 10, 8)])
def test_the_hole_is_a_square_of_half_the_shortest_side_clipped_at_the_border(shape: tuple[int, ...]) -> None:
    erased, side = holes(shape), min(shape) // 2
    for axis, size in enumerate(shape):
        along = erased.flatten(1).any(1)
        profile = erased.movedim(axis + 1, 1).flatten(2).any(2)  # (n, size)
        width = profile.sum(1)
        assert along.all()
        assert width.max() == side
        assert width.min() >= side // 2  # the centre lies inside the image
        first = profile.int().argmax(1)
        touches = (first == 0) | (first + width == size)
        assert touches[width < side].all()
        # an image of `size` cells has its centre within half a side of a border with probability side / size
        assert (width < side).float().mean() < side / size
    box = torch.stack([erased.movedim(a + 1, 1).flatten(2).any(2).sum(1) for a in range(len(shape))]).prod(0)
    assert torch.equal(box, erased.flatten(1).sum(1))  # a box, without gaps


def test_every_place_is_erased_and_the_corner_a_quarter_as_often() -> None:
    often = holes((16, 16), 20_000).float().mean(0)
    # side 8 of 16: a cell in the middle lies in the hole with probability (8 / 16)^2, the corner with (4.5 / 16)^2
    assert often[8, 8] == pytest.approx(0.25, abs=0.02)
    assert often[0, 0] == pytest.approx((4.5 / 16) ** 2, abs=0.02)


def test_a_view_without_cutout_erases_nothing() -> None:
    images = torch.ones(5, 1, 6, 6)
    seen = augment.view_images(images, replace(ONLY, cutout=0.0), (), torch.Generator())
    assert torch.equal(seen, images)


def test_supervision_with_cutout_alone_is_a_view_of_its_own() -> None:
    assert replace(augment.WEAK, cutout=0.5) == augment.CUTOUT
    assert make("algorithms", ALGORITHMS, "supervised", ["views=cutout"]) == Supervised(views="cutout")
    with pytest.raises(SettingsError, match=r"algorithm 'supervised': setting 'views' is 'cutut'.*'cutout'"):
        make("algorithms", ALGORITHMS, "supervised", ["views=cutut"])
