"""The model of a lumen: what the stage tells at the centres, linear fields by hand between them, and honest draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.flows import Tube, tube
from voxfield.artifacts import Grid, LabelMap, VectorImage
from voxfield.errors import InputError
from voxfield.fields import manifold, reconstruct
from voxfield.fields._prior import divergence
from voxfield.fields._reconstruct import Reconstruction
from voxfield.fields._setting import Window
from voxfield.fields.lumen import LumenGP, Scan, Viewing, Wishes, fit
from voxfield.fields.lumen._places import find_places

QUICK = {"smoothness": 2.5, "length_mm": 4.0}
WISHES = Wishes(correlation=0.0, levels=(0.5,), **QUICK)


@pytest.fixture(scope="module")
def flow() -> Tube:
    return tube(radius_mm=2.0, length=6)


@pytest.fixture(scope="module")
def field(flow: Tube) -> LumenGP:
    return fit(Scan(flow.velocity, flow.probability, openings=flow.openings), wishes=WISHES)


@pytest.fixture(scope="module")
def stage(flow: Tube) -> Reconstruction:
    return reconstruct(
        flow.velocity, flow.probability, None, flow.openings, noise_correlation=0.0, wall_levels=(0.5,), **QUICK
    )


def inside(stage: Reconstruction) -> tuple[np.ndarray, ...]:
    return np.nonzero(stage.domain.data)


def test_at_the_centres_it_tells_what_the_stage_tells(field: LumenGP, stage: Reconstruction) -> None:
    told = field.predict()
    cells = tuple(np.rint(stage.mean.grid.index(field.points)).astype(int).T)
    np.testing.assert_array_equal(np.transpose(inside(stage)), np.transpose(cells))
    np.testing.assert_allclose(told.mean, stage.mean.data[cells][:, 0], atol=1e-6)
    np.testing.assert_allclose(told.sd, stage.sd.data[cells][:, 0], rtol=1e-5)
    assert field.choice.model.condition == stage.metrics.values["model"]["condition"]


def test_samples_have_the_mean_and_the_deviation_that_are_told(field: LumenGP) -> None:
    told = field.predict()
    drawn = field.sample(200, np.random.default_rng(0))
    error = (drawn.mean(axis=0) - told.mean) / told.sd
    assert np.square(error).mean() * 200 == pytest.approx(1, abs=0.25)
    assert (drawn.std(axis=0) / told.sd).mean() == pytest.approx(1, abs=0.03)


def test_between_the_centres_mean_and_samples_are_continuous_and_sure_of_themselves(field: LumenGP) -> None:
    # along a line between two centres within the lumen
    ends = field.points[[30, 31]]
    line = ends[0] + np.linspace(0, 1, 41)[:, None] * (ends[1] - ends[0])
    told, drawn = field.predict(line), field.sample(3, np.random.default_rng(1), line)
    ends_told = field.predict(ends)
    np.testing.assert_allclose(told.mean[[0, -1]], ends_told.mean, atol=1e-9)
    np.testing.assert_allclose(told.sd[[0, -1]], ends_told.sd, rtol=1e-9)
    jump = np.abs(np.diff(told.mean, axis=0)).max()
    assert jump <= np.abs(told.mean[-1] - told.mean[0]).max() / 10 + 1e-3
    assert np.abs(np.diff(drawn, axis=1)).max() < 0.1 * np.abs(drawn).max()


def window(shape: tuple[int, int, int], affine: np.ndarray) -> Window:
    return Window(Grid(shape, affine), np.zeros(3, dtype=np.int64), np.ones(shape), np.zeros(shape, dtype=np.int64))


SLOPES = st.lists(st.floats(-1, 1), min_size=9, max_size=9)


@settings(max_examples=20, deadline=None)
@given(SLOPES, st.integers(0, 2**32 - 1))
def test_linear_velocities_on_faces_are_exact_between_them(slopes: list[float], seed: int) -> None:
    gradient = np.array(slopes).reshape(3, 3)
    gradient -= np.trace(gradient) / 3 * np.eye(3)
    shape, spacing = (5, 6, 7), np.array([0.5, 1.0, 1.5])
    part = window(shape, np.diag([*spacing, 1.0]))
    cells = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    faces = np.stack([np.tensordot(gradient[a], spacing[:, None, None, None] * (
        cells - 0.5 * (np.arange(3) == a)[:, None, None, None]), axes=1) for a in range(3)])  # fmt: skip
    points = np.random.default_rng(seed).uniform(spacing, spacing * (np.array(shape) - 2), (20, 3))
    places = find_places(points, part, np.ones(shape, dtype=bool))
    np.testing.assert_allclose(places.of_faces(faces), points @ gradient.T, atol=1e-12)
    values = (places.cells * spacing) @ gradient.T
    np.testing.assert_allclose(places.of_cells(values), points @ gradient.T, atol=1e-12)
    assert np.abs(divergence(faces, tuple(spacing))[:-1, :-1, :-1]).max() < 1e-12


def test_finer_grids_turned_axes_and_frames(flow: Tube) -> None:
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    affine = flow.velocity.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    frames = np.concatenate([flow.velocity.data, 0.5 * flow.velocity.data], axis=3) @ turn.T
    scan = Scan(VectorImage(frames, affine, unit="m/s"), type(flow.probability)(flow.probability.data, affine))
    found = fit(scan, viewing=Viewing(refine=2), wishes=Wishes(condition="none", correlation=0.0, **QUICK))
    middle = np.array([[0.3, -0.2, 0.1]]) + affine[:3, :3] @ ((np.array(flow.lumen.shape) - 1) / 2)
    first, second = (found.predict(middle, frame=frame) for frame in (0, 1))
    axis = turn @ np.array([0.12, -0.08, 1.0]) / np.linalg.norm([0.12, -0.08, 1.0])
    assert np.abs(first.mean[0] - axis).max() < 0.15
    np.testing.assert_allclose(second.mean, 0.5 * first.mean, rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match="expected 0 to 1"):
        found.predict(middle, frame=2)


def test_points_outside_are_refused_by_name(field: LumenGP) -> None:
    with pytest.raises(InputError, match=r"1 of 2 points lie outside the lumen, the first is point 1 at \(99, 0, 0\)"):
        field.predict(np.array([field.points[0], [99.0, 0, 0]]))


def test_a_scalar_in_the_lumen_by_the_same_words(flow: Tube) -> None:
    mask = LabelMap(flow.lumen.astype(np.uint8), flow.velocity.affine)
    domain = manifold.from_mask(mask)
    rng = np.random.default_rng(0)
    seen = rng.choice(len(domain), len(domain) // 2, replace=False)

    def temperature(points: np.ndarray) -> np.ndarray:
        return np.sin(points[:, :1] / 4) + np.cos(points[:, 2:] / 5)

    values = temperature(domain.points[seen]) + 0.02 * rng.standard_normal((len(seen), 1))
    found = manifold.fit(domain, domain.points[seen], values, count=20)
    off = domain.points[seen[:40]] + rng.uniform(-0.3, 0.3, (40, 3)) * flow.velocity.grid.spacing
    told = found.predict(found.attach(off))
    assert np.sqrt(np.square(told.mean - temperature(off)).mean()) < 0.03
    assert found.sample(3, rng, found.attach(off)).shape == (3, 40, 1)
