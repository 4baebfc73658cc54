"""What the network sees does not depend on how a scan is stored; views and familiarity do what they say."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfield.artifacts import Image, Table
from voxfield.errors import InputError
from voxfield.grading import augment
from voxfield.grading.familiarity import Bank
from voxfield.grading.inputs import InputGrid, Scaler, normalise, overlap_weights, resample, to_ras
from voxfield.grading.scans import choose_grid, feature_rows, read_scan

ORDERS = st.permutations([0, 1, 2])
FLIPS = st.lists(st.booleans(), min_size=3, max_size=3)


@given(ORDERS, FLIPS)
@settings(max_examples=30, deadline=None)
def test_storage_order_does_not_matter(order: list[int], flips: list[bool]) -> None:
    rng = np.random.default_rng(0)
    data, spacing = rng.random((4, 5, 6)).astype(np.float32), np.array([1.0, 1.5, 2.0])
    stored = np.flip(np.transpose(data, order), [a for a in range(3) if flips[a]])
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for voxel, world in enumerate(order):
        affine[world, voxel] = -spacing[world] if flips[voxel] else spacing[world]
    turned, found = to_ras(stored, affine)
    np.testing.assert_array_equal(turned, data)
    np.testing.assert_allclose(found, spacing)


@given(st.integers(1, 20), st.floats(0.3, 3), st.integers(1, 20), st.floats(0.3, 3))
@settings(max_examples=60, deadline=None)
def test_overlap_weights_keep_volume(size: int, spacing: float, cells: int, cell: float) -> None:
    weights = overlap_weights(size, spacing, cells, cell)
    assert weights.max() <= 1 + 1e-9
    assert weights.sum() * cell == pytest.approx(min(size * spacing, cells * cell))


def test_resampling_averages_and_keeps_constants() -> None:
    volume = np.arange(64.0).reshape(4, 4, 4)
    coarse = resample(volume, (1, 1, 1), InputGrid((2, 2, 2), (2.0, 2.0, 2.0)))
    np.testing.assert_allclose(coarse, volume.reshape(2, 2, 2, 2, 2, 2).mean((1, 3, 5)), rtol=1e-6)
    constant = resample(np.full((5, 6, 7), 3.0), (1, 1, 1), InputGrid((9, 9, 9), (0.7, 1.1, 2.0)))
    np.testing.assert_allclose(constant, 3.0, rtol=1e-6)


def test_normalisation_forgets_gain_and_offset() -> None:
    volume = np.random.default_rng(0).random((6, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(normalise(volume), normalise(50 * volume - 7), atol=1e-4)
    assert not normalise(np.full((2, 2, 2), 5, np.float32)).any()


def test_grid_holds_the_median_field_of_view() -> None:
    volumes = [Image(np.zeros((32, 32, 48), np.float32), np.eye(4))] * 3
    assert choose_grid(volumes, 24) == InputGrid((16, 16, 24), (2.0, 2.0, 2.0))
    assert choose_grid(volumes, 500).shape == (32, 32, 48)  # never finer than the scans
    plane = choose_grid([Image(np.zeros((40, 64, 1), np.float32), np.diag([0.5, 0.5, 9, 1]))], 32)
    assert plane == InputGrid((20, 32, 1), (1.0, 1.0, 9.0))
    assert plane.axes == (0, 1)


def test_time_series_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        read_scan(Image(np.zeros((4, 4, 4, 2), np.float32), np.eye(4)), InputGrid((4, 4, 4), (1.0, 1.0, 1.0)))


def test_scaler_flags_what_may_be_missing_and_drops_what_always_is() -> None:
    nan = np.nan
    scaler = Scaler.fit(
        ["a", "b", "c", "d"], np.array([[1.0, 5.0, nan, 0.0], [3.0, nan, nan, 2.0], [2.0, 5.0, nan, 1.0]])
    )
    assert scaler.columns == ("a", "b", "d")
    assert scaler.flagged == ("b",)
    assert scaler.mean == (2.0, 5.0, 1.0)
    half = np.sqrt(1.5)
    np.testing.assert_allclose(scaler.apply(np.array([[3.0, nan, 0.0]])), [[half, 0, -half, 1]], rtol=1e-6)
    np.testing.assert_allclose(scaler.apply(np.array([[1e9, 5.0, nan]])), [[5, 0, 0, 0]])


def test_feature_tables_are_matched_by_subject_or_by_place() -> None:
    joint = Table({"subject": ["b", "a"], "r": [2.0, 1.0]})
    names, values = feature_rows([joint], ["a", "b"])
    assert names == ("r",)
    np.testing.assert_array_equal(values, [[1.0], [2.0]])
    _, values = feature_rows([Table({"r": [1.0]}), Table({"r": [None]})], ["a", "b"])
    np.testing.assert_array_equal(values, [[1.0], [np.nan]])
    with pytest.raises(InputError, match="lack 1 of 2 subjects, the first is c"):
        feature_rows([joint], ["a", "c"])
    with pytest.raises(InputError, match="'thick'"):
        feature_rows([Table({"r": ["thick"]})], ["a"])


@pytest.mark.parametrize("shape", [(4, 1, 8, 10), (4, 1, 6, 8, 10)])
def test_views_change_images_repeatably_and_mildly(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for how in (augment.WEAK, augment.strong(0.1, 0, 0)):
        first, second = (augment.view_images(images, how, (0,), torch.Generator().manual_seed(3)) for _ in range(2))
        assert torch.equal(first, second)
        assert first.shape == images.shape
        assert not torch.equal(first, images)
    still = augment.Strength(shift=0, noise=0)
    torch.testing.assert_close(augment.view_images(images, still, (), torch.Generator()), images)


def test_rotation_turns_millimetres_not_shares() -> None:
    """A disc stays a disc on a grid of unequal sides."""
    x, y = torch.meshgrid(torch.arange(40) - 19.5, torch.arange(80) - 39.5, indexing="ij")
    disc = (torch.hypot(x, y) < 12).float()[None, None].repeat(6, 1, 1, 1)
    how = augment.Strength(rotation=90, shift=0, noise=0)
    turned = augment.view_images(disc, how, (), torch.Generator().manual_seed(1))
    assert (turned - disc).abs().mean() < 0.01


def test_feature_views_keep_flags() -> None:
    table = torch.cat([torch.ones(50, 3), torch.ones(50, 3)], dim=1)
    seen = augment.view_features(table, 3, augment.Strength(jitter=0.1, drop=0.5), torch.Generator().manual_seed(0))
    assert torch.equal(seen[:, 3:], table[:, 3:])
    assert 0.3 < (seen[:, :3] == 0).float().mean() < 0.7


def test_familiarity_knows_its_own_and_names_the_stranger() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 4)) * [1, 10, 0.1, 0]
    bank = Bank.fit(points)
    assert (bank.distance(rng.normal(size=(100, 4)) * [1, 10, 0.1, 0]) < 1).mean() > 0.98
    assert bank.distance(np.array([[0.0, 0.0, 0.0, 1.0]]))[0] > 1  # a coordinate in which all agreed
    assert bank.farthest(np.array([0.0, 200.0, 0.0, 0.0])) == 1
    assert Bank.fit(points[:1]).distance(points[:1])[0] == 0
