"""fields.register: the elastic energy by hand, and known deformations found again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates, spline_filter1d

from fields.anatomies import anatomy, centred_grid, picture
from voxfield.artifacts import Image, LabelMap
from voxfield.errors import InputError
from voxfield.fields import register
from voxfield.fields._register import Registration
from voxfield.fields.registration import _fit
from voxfield.fields.registration._deformation import determinant, warped
from voxfield.fields.registration._elastic import Elastic, brick_stiffness
from voxfield.fields.registration._levels import make_level
from voxfield.fields.registration._nodes import Nodes
from voxfield.intervals import NORMAL_95
from voxfield.testing import StageContract

SHAPE, SPACING = (4, 5, 6), np.array([1.0, 2.0, 1.5])
COMPONENT = st.floats(-2, 2, allow_nan=False)
SIDE, VOXEL = 18, 1.6


def swirl(points: Any) -> Any:
    """An incompressible displacement: turns about z that fade outwards and change along z; up to 1.2 mm."""
    angle = 0.25 * np.exp(-np.square(points[..., :2]).sum(axis=-1) / 128) * np.cos(points[..., 2] / 12)
    c, s = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([c * x - s * y - x, s * x + c * y - y, 0 * x], axis=-1)


def pair(side: int = SIDE, noise: float = 0.02) -> tuple[Image, Image]:
    """An anatomy, and the same after the swirl: fixed(x) = moving(x + u(x))."""
    grid, seen = centred_grid((side,) * 3, VOXEL), anatomy(3, blobs=60, extent=0.6 * side * VOXEL)
    return picture(lambda x: seen(x + swirl(x)), grid, noise=noise, seed=1), picture(seen, grid, noise=noise, seed=2)


class TestContract(StageContract):
    """Ten voxels a side."""

    name = "fields.register"

    def make_inputs(self) -> Mapping[str, Any]:
        fixed, moving = pair(10)
        return {"fixed": fixed, "moving": moving}

    def make_settings(self) -> Mapping[str, Any]:
        return {"levels": 1, "draws_count": 4}


@pytest.fixture(scope="module")
def images() -> tuple[Image, Image]:
    return pair()


@pytest.fixture(scope="module")
def found(images: tuple[Image, Image]) -> Registration:
    return register(*images, levels=2)


def places() -> Any:
    return np.stack(np.meshgrid(*(np.arange(n) * h for n, h in zip(SHAPE, SPACING, strict=True)), indexing="ij"), -1)


@given(st.tuples(*[COMPONENT] * 6))
def test_rigid_motion_costs_nothing(parts: tuple[float, ...]) -> None:
    rigid = np.cross(parts[:3], places()) + parts[3:]
    assert abs(Elastic(SHAPE, SPACING, 0.49).energy(rigid)) < 1e-9


@given(st.lists(COMPONENT, min_size=9, max_size=9), st.floats(0, 0.49))
def test_energy_of_a_linear_displacement_by_hand(parts: list[float], poisson: float) -> None:
    gradient = np.array(parts).reshape(3, 3)
    strain = (gradient + gradient.T) / 2
    shape = strain - np.trace(strain) / 3 * np.eye(3)
    bulk = 2 * (1 + poisson) / (3 * (1 - 2 * poisson))
    elastic = Elastic(SHAPE, SPACING, poisson)
    expected = elastic.volume * (np.square(shape).sum() + bulk / 2 * np.trace(strain) ** 2)
    assert elastic.energy(places() @ gradient.T) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_brick_has_six_motions_without_energy_and_no_other() -> None:
    values = np.linalg.eigvalsh(brick_stiffness(SPACING, 0.49))
    assert (np.abs(values[:6]) < 1e-10 * values[-1]).all()
    assert values[6] > 1e-4 * values[-1]


def test_noise_has_the_stiffness_for_covariance() -> None:
    elastic, rng = Elastic((2, 2, 2), SPACING, 0.4), np.random.default_rng(0)
    draws = np.stack([elastic.noise(rng).ravel() for _ in range(6000)])
    corners = [np.ravel_multi_index(c, (2, 2, 2)) for c in np.ndindex(2, 2, 2)]
    assert corners == list(range(8))
    covariance = draws.T @ draws / len(draws)
    assert np.linalg.norm(covariance - elastic.stiffness) < 0.06 * np.linalg.norm(elastic.stiffness)


def test_force_is_symmetric_and_has_the_diagonal() -> None:
    elastic, rng = Elastic(SHAPE, SPACING, 0.45), np.random.default_rng(0)
    a, b = rng.standard_normal((2, *SHAPE, 3))
    assert (a * elastic.force(b)).sum() == pytest.approx((b * elastic.force(a)).sum())
    unit = np.zeros((*SHAPE, 3))
    unit[1, 2, 3, 1] = 1
    assert elastic.diagonal()[1, 2, 3, 1] == pytest.approx(elastic.force(unit)[1, 2, 3, 1])


@given(st.integers(1, 4), st.tuples(*[st.integers(3, 9)] * 3))
@settings(max_examples=25)
def test_nodes_are_exact_for_linear_fields_and_gather_is_the_transpose(
    every: int, voxels: tuple[int, int, int]
) -> None:
    nodes, rng = Nodes(voxels, every, 1), np.random.default_rng(0)
    slope = rng.standard_normal((3, 3))
    linear = every * np.moveaxis(np.indices(nodes.shape), 0, -1) @ slope
    np.testing.assert_allclose(nodes.to_voxels(linear), np.argwhere(np.ones(voxels)) @ slope, atol=1e-12)
    values = rng.standard_normal((int(np.prod(voxels)), 2))
    other = rng.standard_normal((*nodes.shape, 2))
    assert (nodes.gather(values) * other).sum() == pytest.approx((values * nodes.to_voxels(other)).sum())
    coarse = Nodes(voxels, every, 2)
    onto = coarse.onto(2 * every * np.moveaxis(np.indices(coarse.shape), 0, -1) @ slope, nodes)
    np.testing.assert_allclose(onto, linear, atol=1e-12)


def test_solver_and_draws_agree_with_dense_algebra() -> None:
    rng = np.random.default_rng(0)
    level = make_level(rng.random((5, 5, 5)), rng.random((5, 5, 5)), np.ones((5, 5, 5), dtype=bool), np.ones(3), 1)
    nodes = Nodes((5, 5, 5), 2, 1)
    elastic = Elastic(nodes.shape, 2 * np.ones(3), 0.4)
    fit = _fit.Fit(level, nodes, elastic, np.zeros((*nodes.shape, 3)), 2.0, 0.3)
    _, slope = level.residual(np.zeros((125, 3)))
    size = elastic.rank + 6
    units = np.eye(size).reshape(size, *nodes.shape, 3)
    seen = np.stack([(slope * nodes.to_voxels(unit)).sum(axis=1) for unit in units], axis=1)
    hessian = seen.T @ seen / 0.09 + 2.0 * np.stack([elastic.force(unit).ravel() for unit in units])
    right = rng.standard_normal((*nodes.shape, 3))
    solved = _fit._solve(fit, slope, right[None]).ravel()
    exact = np.linalg.solve(hessian, right.ravel())
    assert np.linalg.norm(solved - exact) < 0.01 * np.linalg.norm(exact)
    draws = _fit._draws(fit, 300, rng).reshape(300, -1)
    assert np.square(draws).mean() == pytest.approx(np.trace(np.linalg.inv(hessian)) / size, rel=0.1)


def test_noise_that_is_left_is_what_interpolation_leaves() -> None:
    # Nothing is interpolated without a shift: all of the noise is left. Halfway, weights (..., .6, .6, ...) take some.
    side, rng = 24, np.random.default_rng(0)
    level = make_level(*np.zeros((2, side, side, side)), np.ones((side,) * 3, dtype=bool), np.ones(3), 1)
    still = level.noise_left(np.zeros((side**3, 3)), rng)
    assert still == pytest.approx(side**3, rel=0.02)
    halfway = np.broadcast_to([0.5, 0, 0], (side**3, 3))
    cardinal = map_coordinates(spline_filter1d(np.eye(25)[12]), [np.arange(25) - 0.5], order=3, prefilter=False)
    left = (1 + np.square(cardinal).sum()) / 2 * side**2 * (side - 1)
    assert level.noise_left(halfway, rng) == pytest.approx(left, rel=0.02)


def draw_of_the_prior(seed: int) -> tuple[Any, Any, Any]:
    """Images 8 voxels a side with 5 % noise, and a true displacement from the elastic prior and a shift."""
    rng, grid = np.random.default_rng([seed, 5]), centred_grid((8, 8, 8), VOXEL)
    nodes = Nodes((8, 8, 8), 2, 1)
    elastic = Elastic(nodes.shape, 2 * grid.spacing, 0.4)
    units = np.eye(elastic.rank + 6).reshape(-1, *nodes.shape, 3)
    values, vectors = np.linalg.eigh(elastic.force(units).reshape(len(units), -1))
    weights = rng.standard_normal(elastic.rank) / np.sqrt(8 * values[6:])
    moved = nodes.to_voxels((vectors[:, 6:] @ weights).reshape(*nodes.shape, 3)) + rng.uniform(-0.4, 0.4, 3)
    points = grid.world(np.argwhere(np.ones((8, 8, 8))))
    seen = anatomy(seed, blobs=60, extent=0.6 * 8 * VOXEL)
    fixed, moving = seen(points + moved), seen(points)
    images = (part.reshape(8, 8, 8) + 0.05 * rng.standard_normal((8, 8, 8)) for part in (fixed, moving))
    return *images, moved


@pytest.mark.slow
def test_standard_deviations_cover_draws_of_the_prior() -> None:
    # .86 before noise was weighed as interpolation leaves it, and gradients were calmed.
    everything, wishes = np.ones((8, 8, 8), dtype=bool), _fit.Wishes(0.4, 2, 1, None, 32)
    held = []
    for seed in range(50):
        fixed, moving, moved = draw_of_the_prior(seed)
        fit = _fit.fit_displacement(fixed, moving, everything, np.full(3, VOXEL), wishes, np.random.default_rng(seed))
        sd = np.sqrt(np.square(fit.nodes.to_voxels(fit.draws)).mean(axis=0))
        held.append((np.abs(fit.nodes.to_voxels(fit.displacement) - moved) <= NORMAL_95 * sd).mean())
    assert 0.92 < np.mean(held) < 0.98


def test_bricks_of_a_region_by_hand() -> None:
    nodes = Nodes((5, 4, 4), 2, 1)
    region = np.zeros((5, 4, 4), dtype=bool)
    region[4, 0, 0] = True
    assert np.argwhere(nodes.bricks(region)).tolist() == [[1, 0, 0]]
    region[2, 0, 0] = True  # on a node: belongs to the bricks on both sides
    assert np.argwhere(nodes.bricks(region)).tolist() == [[0, 0, 0], [1, 0, 0]]


def test_only_the_region_is_looked_at_and_tissue_slides_along_its_edge() -> None:
    # The lower half moves by 1 mm, the upper one the other way: no elastic body does that, two halves do.
    side = 14
    grid, seen = centred_grid((side,) * 3, VOXEL), anatomy(3, blobs=60, extent=0.6 * side * VOXEL)

    def sliding(points: Any) -> Any:
        return np.where(points[..., 2:] < 0, 1.0, -1.0) * np.array([1.0, 0, 0])

    fixed = picture(lambda x: seen(x + sliding(x)), grid, noise=0.02, seed=1)
    moving = picture(seen, grid, noise=0.02, seed=2)
    half = np.zeros((side,) * 3, dtype=np.uint8)
    half[..., : side // 2] = 1
    found = register(fixed, moving, LabelMap(half, grid.affine), levels=1, draws_count=4)
    inside = found.displacement.data[2:-2, 2:-2, 2 : side // 2, 0]
    assert np.abs(inside - [1.0, 0, 0]).mean() < 0.15
    assert not found.displacement.data[..., side // 2 :, 0, :].any()
    assert not found.displacement_sd.data[..., side // 2 :, 0, :].any()
    assert (found.determinant.data[..., side // 2 :] == 1).all()
    whole = register(fixed, moving, levels=1, draws_count=4).displacement.data[2:-2, 2:-2, 2 : side // 2, 0]
    assert np.abs(whole - [1.0, 0, 0]).mean() > 1.5 * np.abs(inside - [1.0, 0, 0]).mean()


def test_determinant_and_warp_by_hand() -> None:
    grid = centred_grid((9, 9, 9), 2.0)
    points = grid.world(np.stack(np.meshgrid(*[np.arange(9)] * 3, indexing="ij"), -1))
    gradient = np.array([[0.1, 0.2, 0.0], [0.0, -0.1, 0.1], [0.1, 0.0, 0.05]])
    found = determinant(points @ gradient.T, np.full(3, 2.0))
    np.testing.assert_allclose(found, np.linalg.det(np.eye(3) + gradient))
    shifted = warped(points[..., 0], np.broadcast_to([2.0, 0, 0], (9, 9, 9, 3)), np.full(3, 2.0))
    np.testing.assert_allclose(shifted[2:-3], points[2:-3, ..., 0] + 2.0, atol=1e-2)


def errors(got: Registration) -> tuple[float, Any, Any]:
    """Relative error away from the edges, the errors, and their standard deviations."""
    inner = (slice(2, -2),) * 3
    grid = got.displacement.grid
    true = swirl(grid.world(np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1)))[inner]
    error = got.displacement.data[..., 0, :][inner] - true
    return float(np.linalg.norm(error) / np.linalg.norm(true)), error, got.displacement_sd.data[..., 0, :][inner]


def test_an_incompressible_deformation_is_found(found: Registration) -> None:
    relative, error, sd = errors(found)
    assert relative < 0.35
    assert np.sqrt(np.square(error).mean()) < 0.12 * VOXEL
    assert np.sqrt(np.square(error).mean() / np.square(sd).mean()) == pytest.approx(1, abs=0.5)
    told = found.metrics.values
    assert told["determinant_rms_from_one"] < 0.06
    assert told["least_determinant"] > 0.5
    assert told["noise_sd"] == pytest.approx(0.02 * np.sqrt(2), rel=0.35)
    assert told["residual_rms"] < told["difference_rms_before"]


def test_evidence_beats_hardly_any_prior_and_far_too_much(images: tuple[Image, Image], found: Registration) -> None:
    best = errors(found)[0]
    chosen = found.metrics.values["stiffness_per_mm3"]
    for factor in (1e-2, 1e2):
        other = register(*images, levels=2, draws_count=4, stiffness_per_mm3=factor * chosen)
        assert errors(other)[0] > 1.2 * best


def test_warped_image_looks_like_the_fixed_one(images: tuple[Image, Image], found: Registration) -> None:
    before = np.square(images[0].data - images[1].data)[2:-2, 2:-2, 2:-2].mean()
    after = np.square(images[0].data - found.warped.data)[2:-2, 2:-2, 2:-2].mean()
    assert after < 0.5 * before


def test_refusals(images: tuple[Image, Image]) -> None:
    fixed, moving = images
    with pytest.raises(InputError, match="expected one grid"):
        register(fixed, Image(moving.data[1:], moving.affine))
    with pytest.raises(InputError, match="expected one volume"):
        register(fixed, Image(np.stack([moving.data] * 2, axis=-1), moving.affine))
    with pytest.raises(InputError, match="at least 128"):
        register(fixed, moving, levels=6)
    with pytest.raises(InputError, match="expected one grid"):
        register(fixed, moving, LabelMap(np.ones((4, 4, 4), dtype=np.uint8), fixed.affine))
    with pytest.raises(InputError, match="constant"):
        register(fixed, Image(np.ones(moving.data.shape, np.float32), moving.affine), levels=1)
