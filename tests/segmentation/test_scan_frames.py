"""From a scan's grid to the model's and back: order, sign, spacing, intensities."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from voxfield.segmentation import _preprocess

ORDERS = list(permutations(range(3)))
SIGNS = list(product((1.0, -1.0), repeat=3))


def affine_of(
    order: tuple[int, ...], signs: tuple[float, ...], spacing: tuple[float, ...], degrees: float = 0.0
) -> np.ndarray:
    """Voxel axis order[k] runs along world axis k with a sign; the whole turned a little about an oblique
    axis."""
    axes = np.zeros((3, 3))
    for k in range(3):
        axes[k, order[k]] = signs[k] * spacing[order[k]]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.array([1, -2, 2]) / 3).as_matrix() @ axes
    affine[:3, 3] = (12.0, -40.0, 7.0)
    return affine


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_world_coordinates_ascend_on_the_models_grid(
    order: tuple[int, ...], signs: tuple[float, ...], degrees: float
) -> None:
    shape, spacing = (5, 6, 7), (0.7, 1.1, 2.0)
    affine = affine_of(order, signs, spacing, degrees)
    frame = _preprocess.frame(shape, affine)
    ijk = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    world = ijk @ affine[:3, :3].T + affine[:3, 3]
    for k in range(3):
        assert (frame.to_model(torch.from_numpy(world[..., k])).diff(dim=k) > 0).all()
    assert frame.own_spacing == pytest.approx([spacing[a] for a in order])
    volume = torch.randn(shape, dtype=torch.float64)
    assert torch.equal(frame.from_model(frame.to_model(volume)), volume)


@settings(deadline=None)
@given(st.integers(1, 30), st.floats(0.2, 3), st.floats(0.2, 3))
def test_interpolation_keeps_constants_and_lines(n: int, own: float, new: float) -> None:
    count = max(1, round(n * own / new))
    weights = _preprocess.axis_weights(count, new, n, own)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1)
    centres = (np.arange(n) + 0.5) * own
    moved = weights @ centres - (np.arange(count) + 0.5) * new
    reach = max(own, new)
    inner = (np.arange(count) + 0.5) * new
    inner = (inner > reach + own / 2) & (inner < n * own - reach - own / 2)
    # A line is exact where the triangle lies within the axis and meets the samples evenly, else nearly so.
    tolerance = 1e-9 if new <= own else 0.13 * own
    assert np.abs(moved[inner]).max(initial=0) <= tolerance


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(ORDERS), st.sampled_from(SIGNS), st.tuples(*[st.floats(0.6, 1.6)] * 3))
def test_there_and_back_keeps_shape_and_smooth_content(
    order: tuple[int, ...], signs: tuple[float, ...], target: tuple[float, ...]
) -> None:
    shape = (18, 20, 22)
    frame = _preprocess.frame(shape, affine_of(order, signs, (1.0, 1.2, 0.9)), target)
    axes = torch.meshgrid(*[torch.linspace(0, 3, n, dtype=torch.float64) for n in shape], indexing="ij")
    volume = torch.sin(axes[0]) * torch.cos(axes[1]) + axes[2] / 3
    back = frame.from_model(frame.to_model(volume))
    assert back.shape == volume.shape
    assert (back - volume)[2:-2, 2:-2, 2:-2].abs().max() < 0.05
    labels = (volume > 0.5).byte()
    again = frame.labels_from_model(frame.labels_to_model(labels))
    assert again.shape == labels.shape
    assert (again != labels).double().mean() < 0.1


def test_spacings_within_one_percent_are_not_interpolated() -> None:
    affine = np.diag([1.0, 1.005, 0.995, 1])
    assert not _preprocess.frame((4, 5, 6), affine, (1.0, 1.0, 1.0)).resamples
    assert _preprocess.frame((4, 5, 6), affine, (1.0, 1.0, 1.03)).resamples


def test_fields_of_view_share_their_corner() -> None:
    frame = _preprocess.frame((10, 1, 1), np.diag([1.0, 1, 1, 1]), (2.0, 1.0, 1.0))
    volume = torch.arange(10.0).view(10, 1, 1)
    # Voxel pairs merge; the triangle reaches over the neighbours too, evenly on both sides.
    assert frame.to_model(volume)[1:-1, 0, 0].tolist() == pytest.approx([2.5, 4.5, 6.5])


@settings(deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_volume_normalisation_forgets_scale_and_offset(offset: float, scale: float) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    plain = _preprocess.Normalisation().apply(volume)
    moved = _preprocess.Normalisation().apply((volume * scale + offset).astype(np.float32))
    np.testing.assert_allclose(moved, plain, atol=1e-3 * max(1, abs(offset) / scale))


def test_constant_volume_becomes_zero_and_cohort_numbers_keep_their_meaning() -> None:
    constant = np.full((4, 4, 4), 81.3, dtype=np.float32)
    assert (_preprocess.Normalisation().apply(constant) == 0).all()
    houndsfield = _preprocess.Normalisation("cohort", -500.0, 250.0)
    np.testing.assert_allclose(houndsfield.apply(np.float32([0.0, -500.0, 250.0])), [2, 0, 3])
