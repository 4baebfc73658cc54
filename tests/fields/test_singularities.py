"""Zeros of vector fields: indices worked by hand, the theorem of Poincaré and Hopf, and probabilities over samples."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fields.surfaces import Floats, sphere, tangential, torus
from strategies import affines
from voxfield.artifacts import Artifact, FieldSamples, Mesh, PointSamples
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.fields import singularities
from voxfield.fields.singularity._cells import cube_cells, planar_mesh
from voxfield.fields.singularity._volume import critical_points
from voxfield.fields.surface._connection import connect
from voxfield.fields.surface._poincare import Kind, kinds, poincare_index
from voxfield.testing import StageContract

ZERO = np.array([0.13, -0.07])
PLANAR: dict[str, tuple[Callable[[Floats, Floats], tuple[Floats, Floats]], int, str]] = {
    "source": (lambda x, y: (x, y), 1, "source"),
    "sink": (lambda x, y: (-x, -y), 1, "sink"),
    "vortex": (lambda x, y: (-y, x), 1, "vortex"),
    "spiral out": (lambda x, y: (x - 0.5 * y, 0.5 * x + y), 1, "source"),
    "saddle": (lambda x, y: (x, -y), -1, "saddle"),
    "monkey saddle": (lambda x, y: (x * x - y * y, -2 * x * y), -2, ""),
    "dipole": (lambda x, y: (x * x - y * y, 2 * x * y), 2, ""),
    "none": (lambda x, y: (1 + 0 * x, 0.3 + 0 * y), 0, ""),
}


def scattered(count: int = 500, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 2))


def grid(side: int = 15) -> Floats:
    axis = np.linspace(-1, 1, side) / 0.7  # steps that binary fractions do not hold: hull triangles without area
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("name", PLANAR)
@pytest.mark.parametrize("points", [scattered(), grid()], ids=["cloud", "grid"])
def test_the_index_of_planar_fields(name: str, points: Floats) -> None:
    field, index, kind = PLANAR[name]
    x, y = (points - ZERO).T
    mesh = planar_mesh(points)
    vectors = np.stack([*field(x, y), np.zeros(len(x))], axis=1)
    found = poincare_index(connect(mesh), vectors)
    held = np.flatnonzero(found)
    assert found.sum() == index
    if kind:
        assert {Kind(k).name.lower() for k in kinds(mesh, vectors, held, found[held])} == {kind}
    centres = mesh.vertices[mesh.triangles[held]].mean(axis=1)[:, :2]
    assert np.linalg.norm(centres - ZERO, axis=1).max(initial=0) < 0.25


def double_torus() -> Mesh:
    from skimage.measure import marching_cubes

    x, y, z = np.meshgrid(np.linspace(-1.3, 1.3, 50), np.linspace(-1, 1, 40), np.linspace(-0.5, 0.5, 20), indexing="ij")
    inside = (x * x * (1 - x * x) - y * y) ** 2 + z * z - 0.015
    vertices, triangles, _, _ = marching_cubes(-inside, 0.0)
    return Mesh(vertices, triangles)


SURFACES = {
    "sphere": (sphere(2), 2),
    "torus": (torus(12, 8), 0),
    "coarse torus": (torus(3, 3), 0),
    "double torus": (double_torus(), -2),
}


@pytest.mark.parametrize("name", SURFACES)
def test_transport_around_triangles_is_the_curvature(name: str) -> None:
    mesh, euler = SURFACES[name]
    connection = connect(mesh)
    assert mesh.euler_characteristic == euler
    assert connection.curvature.sum() == pytest.approx(2 * np.pi * euler, abs=1e-9)
    around = (connection.transport[connection.sides] * connection.signs).sum(axis=1) - connection.curvature
    turns = around / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-9)


def test_the_outer_half_of_a_torus_has_the_curvature_of_a_sphere() -> None:
    mesh = torus(120, 60)
    centres = mesh.vertices[mesh.triangles].mean(axis=1)
    outer = np.hypot(centres[:, 0], centres[:, 1]) > 2
    curvature = connect(mesh).curvature
    assert curvature[outer].sum() == pytest.approx(4 * np.pi, rel=0.02)
    assert curvature[~outer].sum() == pytest.approx(-4 * np.pi, rel=0.02)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(SURFACES)),
    seed=st.integers(0, 2**32 - 1),
    roughness=st.sampled_from([0.3, 1.0, 5.0, 100.0]),
)
def test_the_index_sum_is_the_euler_characteristic_of_any_field(name: str, seed: int, roughness: float) -> None:
    mesh, euler = SURFACES[name]
    rng = np.random.default_rng(seed)
    size = np.ptp(mesh.vertices, axis=0).max()
    waves = rng.standard_normal((3, 20)) * roughness / size
    vectors = np.cos(mesh.vertices @ waves + rng.uniform(0, 6, 20)) @ rng.standard_normal((20, 3))
    assert poincare_index(connect(mesh), tangential(mesh, vectors)).sum() == euler


def test_height_on_a_torus_has_a_minimum_a_maximum_and_two_saddles() -> None:
    mesh = torus(80, 40)
    vectors = tangential(mesh, np.tile([1.0, 0, 0], (len(mesh.vertices), 1)))
    index = poincare_index(connect(mesh), vectors)
    held = np.flatnonzero(index)
    found = kinds(mesh, vectors, held, index[held])
    x = mesh.vertices[mesh.triangles[held]].mean(axis=1)[:, 0]
    by_height = [Kind(k).name for k in found[np.argsort(x)]]
    assert by_height == ["SOURCE", "SADDLE", "SADDLE", "SINK"]
    np.testing.assert_allclose(np.sort(x), [-2.8, -1.2, 1.2, 2.8], atol=0.1)
    around = np.cross([0, 0, 1.0], mesh.vertices)  # has no zero
    assert not poincare_index(connect(mesh), around).any()


def draws(field: Floats, noise: float, count: int = 40, seed: int = 0) -> NDArray[np.float64]:
    """Noisy copies of a field (n, 3)."""
    return field + noise * np.random.default_rng(seed).standard_normal((count, *field.shape))


def test_vortices_of_a_spinning_sphere_stand_at_its_poles() -> None:
    mesh = sphere(3, radius=10)
    spin = np.cross([0, 0, 1.0], mesh.vertices)
    made = singularities(PointSamples(mesh.vertices, draws(spin, 0.3)), mesh)
    assert made.metrics.values["index_sum_smallest"] == made.metrics.values["index_sum_largest"] == 2
    assert made.probability is None
    rows = made.clusters.rows()
    assert [row["index"] for row in rows] == [1, 1]
    assert sorted(round(row["z_mm"]) for row in rows) == [-10, 10]
    for row in rows:
        assert row["probability"] >= 0.95
        assert row["vortex"] >= 0.95
        assert np.hypot(row["x_mm"], row["y_mm"]) < 1.5
        assert row["spread_mm"] < 1.5
    shares = made.cells.columns
    assert sum(shares["expected_index"]) == pytest.approx(2)


def test_a_zero_of_higher_order_is_one_cluster() -> None:
    points = scattered(900)
    x, y = (points - ZERO).T
    field = np.stack(PLANAR["monkey saddle"][0](x, y), axis=1)
    noisy = field + 0.01 * np.random.default_rng(1).standard_normal((40, *field.shape))
    first = singularities(PointSamples(points, noisy), merge_mm=0.15).clusters.rows()[0]
    assert first["index"] == -2
    assert first["probability"] == 1
    assert first["expected_count"] >= 2
    np.testing.assert_allclose([first["x_mm"], first["y_mm"]], ZERO, atol=0.1)


def test_a_zero_that_moves_far_between_samples_is_one_cluster_on_any_mesh() -> None:
    rng = np.random.default_rng(4)
    moves = 0.12 * rng.standard_normal((64, 1, 2))
    for count in (400, 6000):
        points = scattered(count)
        values = points - moves  # a source that is somewhere else in every sample
        made = singularities(PointSamples(points, values))
        first = made.clusters.rows()[0]
        assert (first["index"], len(made.clusters)) == (1, 1)
        assert first["probability"] > 0.9
        assert first["spread_mm"] == pytest.approx(0.12 * np.sqrt(2), rel=0.25)
        np.testing.assert_allclose([first["x_mm"], first["y_mm"]], [0, 0], atol=0.07)


def test_what_is_in_half_of_the_samples_has_half_the_probability() -> None:
    points = scattered(900)
    (x, y), shift = points.T, np.array([0.5, 0])
    near, far = np.stack([x - 0.5, y], 1), np.stack([x + 0.5, y], 1)
    values = np.where(np.arange(40)[:, None, None] < 30, near, -far)
    rows = singularities(PointSamples(points, values)).clusters.rows()
    assert [(row["probability"], row["source"], row["sink"]) for row in rows] == [(0.75, 0.75, 0), (0.25, 0, 0.25)]
    for row, place in zip(rows, (shift, -shift), strict=True):
        np.testing.assert_allclose([row["x_mm"], row["y_mm"], row["z_mm"]], [*place, 0], atol=0.1)
    few = singularities(PointSamples(points, values), min_probability=0.3)
    assert len(few.clusters) == 1
    assert few.metrics.values["mean_sinks"] == 0.25


@settings(max_examples=40, deadline=None)
@given(affine=affines(), seed=st.integers(0, 2**16))
def test_a_linear_field_in_a_volume_has_the_sign_of_its_determinant(affine: Floats, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((3, 3))
    voxels = np.stack(np.meshgrid(*map(np.arange, (5, 6, 7)), indexing="ij"), -1)
    zero = rng.uniform(1.05, 3.9, 3)
    steps = affine[:3, :3] / np.cbrt(abs(np.linalg.det(affine[:3, :3])))
    field = ((voxels - zero) @ steps.T @ matrix.T).astype(np.float32)
    samples = FieldSamples(np.zeros((16, 1, voxels[..., 0].size, 3)), np.ones(voxels.shape[:3]), affine)
    _, lowest = cube_cells(samples.mask, samples.grid)
    cube, degree, kind = critical_points(field, lowest, samples.mask, steps)
    assert degree.tolist() == [np.sign(np.linalg.det(matrix))]
    np.testing.assert_array_equal(lowest[cube[0]], np.floor(zero))
    real, imaginary = np.linalg.eigvals(matrix).real, np.linalg.eigvals(matrix).imag
    saddle = Kind.VORTEX if imaginary.any() else Kind.SADDLE
    assert kind[0] == (Kind.SOURCE if (real > 0).all() else Kind.SINK if (real < 0).all() else saddle)


def pair_in_a_box(noise: float = 0.0) -> FieldSamples:
    """v = (x^2 - 9, y, z) mm, zeros of degree -1 at x = -3 and +1 at x = 3; a lumen of its own in each sample."""
    mask = np.ones((14, 8, 8), dtype=bool)
    affine = np.eye(4)
    affine[:3, 3] = [-6.6, -3.4, -3.6]
    x, y, z = np.argwhere(mask).T + affine[:3, 3][:, None]
    field = np.stack([x * x / 3 - 3, y, z], axis=1)
    rng = np.random.default_rng(2)
    values = field + noise * rng.standard_normal((20, 2, *field.shape))
    inside = np.ones((20, len(x)), dtype=bool)
    inside[:5, x > 0] = False
    return FieldSamples(values, mask, affine, inside=inside, unit="m/s")


def test_zeros_of_a_lumen_have_their_degrees_and_the_probability_of_the_lumen() -> None:
    made = singularities(lumen=pair_in_a_box(noise=0.05))
    assert made.probability is not None
    rows = [row for row in made.clusters.rows() if row["frame"] == 1]
    assert [(row["index"], row["probability"]) for row in rows] == [(-1, 1.0), (1, 0.75)]
    for row, x in zip(rows, (-3, 3), strict=True):
        np.testing.assert_allclose([row["x_mm"], row["y_mm"], row["z_mm"]], [x, 0, 0], atol=0.8)
    data = np.asarray(made.probability.data)
    assert data[..., 1].sum() == pytest.approx(1.75)
    place = made.probability.grid.world(np.unravel_index(data[..., 0].argmax(), data.shape[:3]))
    np.testing.assert_allclose(place, [-3, 0, 0], atol=0.8)


def test_what_is_refused() -> None:
    mesh, rng = sphere(1), np.random.default_rng(0)
    vectors = rng.standard_normal((16, len(mesh.vertices), 3))
    samples = PointSamples(mesh.vertices, vectors)
    with pytest.raises(InputError, match="give samples of one domain"):
        singularities()
    with pytest.raises(InputError, match="3 coordinates; give the mesh of their surface"):
        singularities(samples)
    with pytest.raises(InputError, match="samples are scalars"):
        singularities(PointSamples(mesh.vertices, vectors[..., :1]), mesh)
    with pytest.raises(InputError, match="are not the 18 vertices of the mesh"):
        singularities(PointSamples(mesh.vertices[::-1], vectors), mesh)
    turned = mesh.triangles.copy()
    turned[0] = turned[0, ::-1]
    with pytest.raises(InputError, match="is not oriented"):
        singularities(samples, Mesh(mesh.vertices, turned))
    with pytest.raises(InputError, match="span no triangle"):
        singularities(PointSamples(np.c_[np.arange(9), np.arange(9)], np.ones((16, 9, 2))))
    twice = np.vstack([scattered(9), scattered(9)[:1]])
    with pytest.raises(InputError, match="1 of its points coincide"):
        singularities(PointSamples(twice, np.ones((16, 10, 2))))
    context = Context()
    singularities(
        PointSamples(mesh.vertices, vectors * (np.arange(len(mesh.vertices)) > 0)[:, None]), mesh, ctx=context
    )
    assert context.findings.codes() == ["zero-vectors"]


class TestOnSurface(StageContract):
    """Noise on a spinning sphere."""

    name = "fields.singularities"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        mesh = sphere(2)
        spin = np.cross([0, 0, 1.0], mesh.vertices)
        return {"points": PointSamples(mesh.vertices, draws(spin, 0.3, 16)), "mesh": mesh}


class TestInLumen(StageContract):
    """A source-like and a sink-like zero in a box."""

    name = "fields.singularities"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        return {"lumen": pair_in_a_box(noise=0.2)}
