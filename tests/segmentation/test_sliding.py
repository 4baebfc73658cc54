"""Sliding windows: equal to the network itself where they should be, and nothing lost at the edges."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfield.segmentation import _sliding


def pointwise(x: torch.Tensor) -> torch.Tensor:
    """A network of three classes without any reach."""
    return torch.cat([x * 0, x, 1 - x * x], dim=1)


def context(x: torch.Tensor) -> torch.Tensor:
    """A network that sees its whole window."""
    return torch.cat([x, x - x.mean(dim=(2, 3, 4), keepdim=True)], dim=1)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 30), st.floats(0, 0.95))
def test_windows_cover_an_axis_and_end_flush(extra: int, window: int, overlap: float) -> None:
    length = window + extra
    starts = _sliding.starts(length, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == length - window
    assert all(0 < b - a <= max(1, round(window * (1 - overlap))) for a, b in pairwise(starts))


def test_one_window_is_the_network_itself() -> None:
    image = torch.randn(8, 6, 7)
    probability, label, _ = _sliding.predict_volume([context], [image], (8, 6, 7), 2)
    direct = context(image[None, None])[0].softmax(0)
    torch.testing.assert_close(probability, direct[1])
    assert (label == 1).all()


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(1, 15)] * 3), st.tuples(*[st.integers(2, 8)] * 3), st.sampled_from([0.0, 0.3, 0.75]))
def test_without_reach_the_windows_leave_no_trace(
    shape: tuple[int, ...], window: tuple[int, ...], overlap: float
) -> None:
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    probability, label, _ = _sliding.predict_volume([pointwise], [image], window, 3, overlap=overlap)
    direct = pointwise(image[None, None])[0].softmax(0)
    torch.testing.assert_close(probability, direct[1:].sum(0), atol=1e-5, rtol=1e-4)
    sure = (direct[1] - direct[2]).abs() > 1e-4
    assert torch.equal(label[sure], direct[1:].argmax(0).add(1).byte()[sure])


def test_windows_are_averaged_by_their_weights() -> None:
    image = torch.randn(9, 4, 4, generator=torch.Generator().manual_seed(0))
    probability, _, _ = _sliding.predict_volume([context], [image], (6, 4, 4), 2, overlap=0.5)
    weight = _sliding.gaussian((6, 4, 4))
    total, norm = torch.zeros(9, 4, 4), torch.zeros(9, 4, 4)
    for start in (0, 3):
        total[start : start + 6] += context(image[None, None, start : start + 6])[0].softmax(0)[1] * weight
        norm[start : start + 6] += weight
    torch.testing.assert_close(probability, total / norm)


def test_gaussian_is_symmetric_and_positive() -> None:
    weight = _sliding.gaussian((8, 5, 6))
    torch.testing.assert_close(weight, weight.flip((0, 1, 2)))
    assert weight.max() == pytest.approx(1)
    assert weight.min() > 0
