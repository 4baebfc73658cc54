"""fields.align: known motions found again, with different contrasts and outliers; vectors that turn along."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import strategies
from fields.anatomies import anatomy, centred_grid, motion, picture
from voxfield.artifacts import Grid, Image, PartialVectorImage, VectorImage
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.fields import align
from voxfield.fields.alignment._levels import make_level, take_picture
from voxfield.fields.alignment._match import covariance, descend
from voxfield.fields.alignment._resample import moved_affine, resampled, turned
from voxfield.fields.alignment._rigid import Rigid, start_at
from voxfield.testing import StageContract

SIDE = 26
VOXEL = 1.8


def pair(turn: Any, shift: Any, *, seed: int, outliers: float = 0.15, side: int = SIDE) -> tuple[Image, Image]:
    """One anatomy twice: `fixed`, and `moving` after the motion, with its contrast upside down."""
    rotation, away = motion(turn, shift)
    seen = anatomy(seed)
    fixed = picture(seen, centred_grid((side,) * 3, VOXEL), noise=0.05, outliers=outliers, seed=seed)
    grid = centred_grid((side - 2,) * 3, 1.1 * VOXEL)
    moving = picture(lambda y: np.exp(-1.5 * seen((y - away) @ rotation)), grid, noise=0.03, outliers=0.05, seed=99)
    return fixed, moving


class TestContract(StageContract):
    """Sixteen voxels a side."""

    name = "fields.align"

    def make_inputs(self) -> Mapping[str, Any]:
        fixed, moving = pair([0, 0, 3.0], [1, 0, 0], seed=0, outliers=0.0, side=16)
        return {"fixed": fixed, "moving": moving, "vectors": VectorImage(np.ones((14, 14, 14, 3)), moving.affine)}


def test_motion_is_found_to_a_fraction_of_a_voxel() -> None:
    turn, shift = np.array([6.0, -5.0, 6.0]), np.array([-6.0, 5.0, 6.0])
    fixed, moving = pair(turn, shift, seed=1)
    ctx = Context()
    got = align(fixed, moving, ctx=ctx).transform.values
    matrix = np.array(got["fixed_to_moving"])
    rotation, away = motion(turn, shift)
    inner = fixed.grid.world(np.argwhere(np.ones((2, 2, 2))) * (SIDE - 9) + 4)
    error = inner @ matrix[:3, :3].T + matrix[:3, 3] - (inner @ rotation.T + away)
    assert np.linalg.norm(error, axis=1).max() < 0.2 * VOXEL
    assert np.linalg.norm(error.mean(axis=0)) < 0.1 * VOXEL
    assert 0.1 < got["outliers"] < 0.2
    assert ctx.findings.codes() == []


def test_standard_deviation_is_that_of_the_error() -> None:
    """From the truth down, over draws of noise and outliers."""
    errors, told = [], []
    for seed in range(12):
        fixed, moving = pair([0, 0, 0], [0, 0, 0], seed=seed, side=20)
        still, other = (take_picture(i.data.astype(float), i.grid) for i in (fixed, moving))
        level = make_level(still, other, 0.0, 6000, np.random.default_rng(seed))
        found = descend(level, start_at(np.zeros(3), np.zeros(3), np.zeros(3))).motion
        errors.append(found.shift)
        told.append(np.diag(covariance(level, found, 8 * VOXEL))[3:])
    assert np.sqrt(np.mean(told) / np.mean(np.square(errors))) == pytest.approx(1, abs=0.35)


@given(strategies.rotations(), strategies.rotations())
def test_motions_compose_as_their_matrices(first: Any, second: Any) -> None:
    points = np.array([[3.0, -4, 5], [10, 2, -7]])
    moved = Rigid(first, np.array([1.0, 2, 3]), np.array([-4.0, 0, 2]))
    np.testing.assert_allclose(moved(points), points @ moved.matrix[:3, :3].T + moved.matrix[:3, 3], atol=1e-12)
    assert moved.away_from(moved, points) == 0
    step = np.array([0.1, -0.2, 0.05, 1, 2, 3])
    by_hand = start_at(moved.centre + moved.shift, step[:3], step[3:])(moved(points))
    np.testing.assert_allclose(moved.then_by(step)(points), by_hand, atol=1e-12)
    assert start_at(np.zeros(3), np.zeros(3), second[0])(points) == pytest.approx(points + second[0])


@given(strategies.rotations(), strategies.affines())
def test_resampling_and_moving_the_affine_agree(turn: Any, affine: Any) -> None:
    """A field linear in the world survives linear interpolation: both ways give R^T v at the same place."""
    grid = Grid((5, 5, 5), affine)
    there = Rigid(turn, np.array([0.4, -0.3, 0.2]), grid.world([2.0, 2.0, 2.0]))
    points = grid.world(np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1))
    slope = np.array([[0.1, 0.2, 0.0], [0.0, -0.1, 0.3], [0.2, 0.0, 0.1]])
    vectors = turned((points @ slope.T).astype(np.float32), there)
    middle = Grid((1, 1, 1), np.block([[np.eye(3) * grid.spacing.min(), grid.world([[2.0, 2, 2]]).T], [0, 0, 0, 1]]))
    got = resampled(vectors, grid, middle, there, beyond=0.0)[0, 0, 0]
    place = there(grid.world([[2.0, 2.0, 2.0]]))[0]
    if (np.abs(grid.index(place) - 2) < 2).all():
        np.testing.assert_allclose(got, turn.T @ (slope @ place), rtol=1e-3, atol=1e-3 * np.abs(points).max())
    carried = Grid((5, 5, 5), moved_affine(affine, there))
    np.testing.assert_allclose(there(carried.world([[1.0, 2, 3]])), grid.world([[1.0, 2, 3]]), atol=1e-9)


def test_vectors_turn_and_voxels_stay_where_nothing_is_resampled() -> None:
    fixed, moving = pair([0, 0, 8.0], [2.0, 0, 0], seed=2, outliers=0.0, side=16)
    data = np.zeros((14, 14, 14, 1, 3))
    data[..., 0] = 1.0
    data[1, 2, 3] = np.nan
    got = align(fixed, moving, PartialVectorImage(data, moving.affine, unit="m/s"), resample=False)
    assert got.aligned_vectors is not None
    np.testing.assert_array_equal(np.isnan(got.aligned_vectors.data), np.isnan(data))
    np.testing.assert_array_equal(got.aligned.data, moving.data)
    c, s = np.cos(np.radians(8)), np.sin(np.radians(8))
    np.testing.assert_allclose(got.aligned_vectors.data[3, 4, 5, 0], [c, -s, 0], atol=0.02)
    assert got.aligned_vectors.unit == "m/s"


def test_beyond_the_moving_image_nothing_was_measured() -> None:
    fixed, moving = pair([0, 0, 0], [2.0, 0, 0], seed=2, outliers=0.0, side=16)
    part = Image(moving.data[:, :, :9], moving.affine)
    got = align(fixed, part, VectorImage(np.ones((14, 14, 9, 3)), moving.affine, unit="m/s"))
    assert got.aligned_vectors is not None
    matrix = np.array(got.transform.values["fixed_to_moving"])
    places = fixed.grid.world(np.indices(fixed.shape).reshape(3, -1).T) @ matrix[:3, :3].T + matrix[:3, 3]
    index = part.grid.index(places)
    within = ((index >= 0) & (index <= np.array(part.shape) - 1)).all(axis=1).reshape(fixed.shape)
    np.testing.assert_array_equal(np.isfinite(got.aligned_vectors.data[..., 0, :]).all(axis=-1), within)
    assert 0 < within.sum() < within.size
    assert not got.aligned.data[~within].any()


def test_a_ball_may_be_turned_in_any_way_and_noise_is_no_anatomy() -> None:
    ctx = Context()
    grid = centred_grid((14,) * 3, 2.0)
    balls = [picture(lambda p: np.exp(-np.square(p).sum(-1) / 100), grid, noise=0.02, seed=n) for n in (1, 2)]
    align(*balls, ctx=ctx)
    assert "alignment-ambiguous" in ctx.findings.codes()
    ctx = Context()
    align(*(picture(lambda p: 0 * p[..., 0], grid, noise=1.0, seed=n) for n in (1, 2)), ctx=ctx)
    assert "alignment-weak" in ctx.findings.codes()


def test_refusals() -> None:
    fixed, moving = pair([0, 0, 0], [0, 0, 0], seed=0, side=12)
    with pytest.raises(InputError, match="constant"):
        align(fixed, Image(np.ones((9, 9, 9), np.float32), np.eye(4)))
    away = moving.affine
    away[:3, 3] += 500
    with pytest.raises(InputError, match="reaches 0% of the fixed image"):
        align(fixed, Image(moving.data, away))
    with pytest.raises(InputError, match="expected one volume"):
        align(fixed, Image(np.stack([moving.data] * 2, axis=-1), moving.affine))
    with pytest.raises(InputError, match="at least 8 voxels"):
        align(Image(fixed.data[:4], fixed.affine), moving)
    with pytest.raises(InputError, match=r"has shape .*, the moving image .*; expected one grid"):
        align(fixed, moving, VectorImage(np.ones((9, 9, 9, 3)), moving.affine))
