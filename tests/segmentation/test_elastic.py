"""Elastic deformation: identity, consistency of image and label, no folds; and the other variations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfield.segmentation import _augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(2, 30))
def test_splines_are_a_partition_of_unity_that_reproduces_lines(n: int, spacing: float) -> None:
    basis = _augment.bspline_basis(n, spacing)
    controls = (torch.arange(basis.shape[1], dtype=torch.float64) - 1) * spacing
    torch.testing.assert_close(basis.sum(1), torch.ones(n, dtype=torch.float64))
    torch.testing.assert_close(basis @ controls, torch.arange(n, dtype=torch.float64), atol=1e-9, rtol=0)


def test_zero_amplitude_is_the_identity() -> None:
    volume, labels = torch.randn(12, 10, 9, generator=generator()), torch.randint(3, (12, 10, 9)).byte()
    where = _augment.positions((2, 3, 1), (8, 6, 7), (False, False, False))
    where = where + _augment.elastic((8, 6, 7), 4.0, 0.0, generator())
    torch.testing.assert_close(_augment.read_image(volume, where), volume[2:10, 3:9, 1:8], atol=1e-5, rtol=0)
    assert torch.equal(_augment.read_labels(labels, where), labels[2:10, 3:9, 1:8])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 6))
def test_image_and_label_are_read_at_the_same_place(seed: int, sd: float) -> None:
    shape = (10, 11, 12)
    where = _augment.positions((6, 6, 6), shape, (True, False, True))
    where = where + _augment.elastic(shape, 8.0, sd, generator(seed))
    for axis in range(3):
        view = [-1 if a == axis else 1 for a in range(3)]
        ramp = torch.arange(24.0).view(view).expand(24, 24, 24)
        image, label = _augment.read_image(ramp, where), _augment.read_labels(ramp.byte(), where)
        inside = label != _augment.UNANNOTATED
        torch.testing.assert_close(image, where[axis].clamp(0, 23), atol=1e-4, rtol=0)
        assert ((image - label)[inside].abs() <= 0.5 + 1e-4).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(4, 20), st.floats(1, 50))
def test_no_deformation_folds(seed: int, spacing: float, sd: float) -> None:
    shape = (16, 16, 16)
    map_ = _augment.positions((0, 0, 0), shape, (False,) * 3) + _augment.elastic(shape, spacing, sd, generator(seed))
    columns = [map_.diff(dim=axis + 1)[:, :15, :15, :15] for axis in range(3)]
    jacobian = torch.linalg.det(torch.stack(columns).permute(2, 3, 4, 1, 0))
    assert jacobian.min() > 0


def test_mirrored_patch_is_the_mirror_of_the_patch() -> None:
    volume = torch.randn(9, 9, 9, generator=generator())
    where = _augment.positions((1, 2, 3), (5, 5, 5), (True, False, True))
    crop = volume[1:6, 2:7, 3:8].flip((0, 2))
    torch.testing.assert_close(_augment.read_image(volume, where), crop, atol=1e-5, rtol=0)


def test_outside_the_volume_the_edge_goes_on_and_nobody_looked() -> None:
    volume = torch.arange(4.0).view(4, 1, 1).expand(4, 3, 1).contiguous()
    where = _augment.positions((-2, 0, 0), (8, 3, 1), (False,) * 3)
    image, label = _augment.read_image(volume, where), _augment.read_labels(volume.byte(), where)
    assert image[:, 0, 0].tolist() == pytest.approx([0, 0, 0, 1, 2, 3, 3, 3])
    assert label[:, 0, 0].tolist() == [255, 255, 0, 1, 2, 3, 255, 255]


def test_a_patch_wholly_outside_is_the_edge() -> None:
    volume = torch.full((4, 4, 4), 7.0)
    where = _augment.positions((40, -40, 0), (2, 2, 2), (False,) * 3)
    assert (_augment.read_image(volume, where) == 7).all()
    assert (_augment.read_labels(volume.byte(), where) == 255).all()


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_intensities_stay_finite_and_follow_the_seed(seed: int) -> None:
    patch = torch.randn(6, 7, 8, generator=generator(1))
    varied = _augment.vary_intensity(patch, generator(seed))
    assert torch.isfinite(varied).all()
    assert torch.equal(varied, _augment.vary_intensity(patch, generator(seed)))
    assert torch.isfinite(_augment.vary_intensity(torch.zeros(5, 5, 5), generator(seed))).all()
