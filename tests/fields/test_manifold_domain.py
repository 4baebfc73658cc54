"""Domains: frames, sheets, transport and Laplacians against what is known exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fields import surfaces
from fields.manifolds import sheets, sphere
from voxfield.artifacts import LabelMap, Mesh
from voxfield.errors import InputError
from voxfield.fields.manifold import farthest_points, from_mask, from_mesh, from_points, modes
from voxfield.fields.manifold._orientation import transport
from voxfield.frames import tangent_frames


def angles(frames: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Between the frames and the tangent planes, radian."""
    return np.arcsin(np.linalg.norm(np.einsum("nda,nd->na", frames, normals), axis=1).clip(max=1))


def test_frames_of_a_sphere_converge_with_the_second_order_or_better() -> None:
    counts = (500, 2000)
    errors = [np.sqrt(np.mean(angles(from_points(sphere(n)).frames, sphere(n)) ** 2)) for n in counts]
    rate = np.log(errors[0] / errors[1]) / (0.5 * np.log(counts[1] / counts[0]))
    assert errors[0] < 0.01
    assert rate > 2


def test_the_error_of_the_frames_is_told_within_a_factor() -> None:
    points, normals, _ = sheets(1500, 8)
    domain = from_points(points)
    true, told = (np.sqrt(np.mean(e**2)) for e in (angles(domain.frames, normals), domain.frame_error))
    assert true <= 1.5 * told <= 30 * true


@pytest.mark.parametrize("gap", [1, 2, 4])
def test_two_sheets_are_kept_apart(gap: float) -> None:
    points, normals, which = sheets(1200, gap)
    domain = from_points(points)
    assert domain.dimension == 2
    crossing = which[domain.edges[:, 0]] != which[domain.edges[:, 1]]
    assert crossing.mean() < (0.01 if gap == 1 else 1e-3)
    assert np.median(angles(domain.frames, normals)) < 0.05


def test_dimension_is_that_of_the_manifold() -> None:
    t = np.linspace(0, 6, 300)
    helix = np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)
    ball = np.random.default_rng(0).uniform(size=(500, 3))
    embedded = np.pad(sphere(400), ((0, 0), (0, 3)))
    assert [from_points(p).dimension for p in (helix, ball, embedded)] == [1, 3, 2]


def test_a_sphere_is_orientable_and_a_moebius_strip_is_not() -> None:
    assert from_points(sphere(400)).mirrored_share == 0
    rng = np.random.default_rng(0)
    u, w = rng.uniform(0, 2 * np.pi, 1500), rng.uniform(-0.4, 0.4, 1500)
    radius = 1 + w * np.cos(u / 2)
    strip = np.stack([radius * np.cos(u), radius * np.sin(u), w * np.sin(u / 2)], axis=1)
    assert 0 < from_points(strip).mirrored_share < 0.1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 3))
def test_transport_is_a_rotation_and_there_and_back_is_nothing(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    frames = np.linalg.qr(rng.standard_normal((8, 4, m)))[0]
    pairs = np.array([[i, j] for i in range(8) for j in range(i)])
    there, back = transport(frames, pairs), transport(frames, pairs[:, ::-1])
    np.testing.assert_allclose(np.linalg.det(there), 1, atol=1e-12)
    np.testing.assert_allclose(there @ there.transpose(0, 2, 1), np.broadcast_to(np.eye(m), there.shape), atol=1e-12)
    generic = np.linalg.det(frames[pairs[:, 0]].transpose(0, 2, 1) @ frames[pairs[:, 1]]) > 1e-3
    np.testing.assert_allclose((there @ back)[generic], np.broadcast_to(np.eye(m), there[generic].shape), atol=1e-9)


def test_scalar_spectrum_of_a_spherical_mesh() -> None:
    # l (l + 1) with multiplicity 2 l + 1.
    found = modes(from_mesh(surfaces.sphere(4)), 16, scalar=True)
    np.testing.assert_allclose(found.eigenvalues, np.repeat([0, 2, 6, 12], [1, 3, 5, 7]), rtol=0.02, atol=1e-6)


def test_vector_spectrum_of_a_spherical_mesh() -> None:
    # The connection Laplacian has l (l + 1) - 1 with multiplicity 2 (2 l + 1), l >= 1: gradients and rotated gradients.
    found = modes(from_mesh(surfaces.sphere(4)), 16, scalar=False)
    np.testing.assert_allclose(found.eigenvalues, np.repeat([1, 5], [6, 10]), rtol=0.03)


def test_modes_are_orthonormal_in_the_mass_and_solve_the_eigenproblem() -> None:
    domain = from_points(sphere(300))
    found = modes(domain, 20, scalar=False)
    mass = np.repeat(domain.mass, 2)
    flat = found.vectors.reshape(600, 20)
    np.testing.assert_allclose(flat.T @ (mass[:, None] * flat) / domain.mass.sum(), np.eye(20), atol=1e-8)
    laplacian = domain.laplacian(scalar=False)
    np.testing.assert_allclose(laplacian @ flat, mass[:, None] * flat * found.eigenvalues, atol=1e-7)


def test_modes_of_a_large_domain_are_close_to_its_eigenvectors(monkeypatch: pytest.MonkeyPatch) -> None:
    from voxfield.fields.manifold import _modes

    domain = from_mesh(surfaces.sphere(4))
    exact = modes(domain, 30, scalar=False)
    monkeypatch.setattr(_modes, "LARGEST", 100)
    monkeypatch.setattr(_modes, "LANDMARKS", 400)
    rough = modes(domain, 30, scalar=False)
    np.testing.assert_allclose(rough.eigenvalues[:16], exact.eigenvalues[:16], rtol=0.05)
    weight = np.repeat(domain.mass, 2)[:, None] / domain.mass.sum()
    flat, other = (m.vectors.reshape(-1, 30)[:, :16] for m in (exact, rough))
    assert np.linalg.svd(flat.T @ (weight * other))[1].min() > 0.97


def test_the_laplacian_is_symmetric_and_positive() -> None:
    for scalar in (True, False):
        matrix = from_points(sphere(200)).laplacian(scalar=scalar)
        assert sparse.linalg.norm(matrix - matrix.T) == 0
        assert np.linalg.eigvalsh(matrix.toarray()).min() > -1e-9


def test_voxels_that_touch_at_corners_are_not_joined() -> None:
    mask = np.zeros((4, 4, 4), dtype=int)
    mask[0, 0, :3] = mask[1, 1, :3] = 1
    domain = from_mask(LabelMap(mask, np.diag([0.5, 1.0, 2.0, 1.0])))
    assert len(domain) == 6
    assert len(np.unique(domain.component)) == 2
    np.testing.assert_allclose(domain.points[1] - domain.points[0], [0, 0, 2])
    np.testing.assert_allclose(domain.weights, 1 / 4)  # volume 1 mm^3 over the square of 2 mm


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 30))
def test_farthest_points_cover_as_they_are_spread(seed: int, count: int) -> None:
    points = np.random.default_rng(seed).standard_normal((60, 3))
    chosen = farthest_points(points, count)
    assert len(set(chosen.tolist())) == count
    gaps = np.linalg.norm(points[chosen][:, None] - points[chosen], axis=2)
    reach = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1).max()
    assert reach <= gaps[~np.eye(count, dtype=bool)].min(initial=np.inf) + 1e-12  # Gonzalez 1985


def test_what_is_no_domain() -> None:
    points = sphere(40)
    with pytest.raises(InputError, match=r"points lie on top of another, the first is point [01]; expected distinct"):
        from_points(np.vstack([points[:1], points]))
    with pytest.raises(InputError, match="10 points; at least 16 are needed"):
        from_points(points[:10])
    frames = tangent_frames(points)
    frames[7] *= 1.01
    with pytest.raises(InputError, match="the frame of point 7 is not orthonormal"):
        from_points(points, frames=frames)
    with pytest.raises(InputError, match="frames given have 2 axes, the dimension is 1; give one"):
        from_points(points, dimension=1, frames=tangent_frames(points))
    whole = surfaces.sphere(2)
    with pytest.raises(InputError, match="1 of its 67 vertices have no triangle, the first is vertex 66"):
        from_mesh(Mesh(np.vstack([whole.vertices, [[9, 9, 9]]]), whole.triangles))
    with pytest.raises(InputError, match="3 of its vertices have no normal, the first is vertex 0"):
        from_mesh(Mesh(np.eye(3), [[0, 1, 2], [2, 1, 0]]))  # two sides of one triangle
    with pytest.raises(InputError, match="no foreground"):
        from_mask(LabelMap(np.zeros((3, 3, 3), dtype=int), np.eye(4)))
    with pytest.raises(InputError, match="no two of its 2 foreground voxels share a face"):
        from_mask(LabelMap(np.eye(2, dtype=int)[..., None], np.eye(4)))
    with pytest.raises(InputError, match="61 points are asked for out of 60"):
        farthest_points(sphere(60), 61)
