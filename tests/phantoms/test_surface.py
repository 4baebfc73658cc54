"""The stage phantoms.surface: closed, oriented surfaces, exact normals, tangent fields, noise as told."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from voxfield.context import Context
from voxfield.phantoms import surface
from voxfield.phantoms._closed_surfaces import SURFACES
from voxfield.phantoms._surface import SurfacePhantom
from voxfield.testing import StageContract


class TestSurfaceContract(StageContract):
    name = "phantoms.surface"

    def make_inputs(self) -> Mapping[str, Any]:
        return {}

    def make_settings(self) -> Mapping[str, Any]:
        return {"vertices": 80}


@pytest.fixture(scope="module", params=sorted(SURFACES))
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def phantom(shape: str) -> SurfacePhantom:
    return surface(shape=shape, vertices=2000, ctx=Context(seed=3))


def test_the_surface_is_closed_and_oriented_outward(shape: str, phantom: SurfacePhantom) -> None:
    mesh = phantom.mesh
    assert mesh.is_closed
    assert mesh.is_oriented
    assert mesh.is_manifold
    assert mesh.euler_characteristic == (0 if shape == "torus" else 2)
    corners = mesh.vertices[mesh.triangles]
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    expected = {"sphere": 4 / 3 * np.pi, "torus": 2 * np.pi**2 * 0.4**2}
    if shape in expected:
        assert volume == pytest.approx(expected[shape] * 50**3, rel=0.02)
    assert volume > 0


def test_normals_are_those_of_the_triangles_up_to_their_size(shape: str) -> None:
    """Four times as many vertices along each way: a quarter of the angle, which triangles have by being flat."""
    angles = []
    for count in (1000, 16000):
        made = SURFACES[shape](count, 50.0, np.random.default_rng(0))
        corners = made.vertices[made.triangles]
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        mean = made.normals[made.triangles].mean(axis=1)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        angles.append(np.linalg.norm(flat - mean, axis=1).mean())
    assert angles[1] < angles[0] / 3
    assert angles[1] < 0.015


def test_the_field_is_tangent_and_of_unit_size(phantom: SurfacePhantom) -> None:
    field, frames = phantom.truth.vectors, phantom.truth.frames
    assert frames is not None
    assert np.square(field).sum(axis=1).mean() == pytest.approx(1)
    np.testing.assert_allclose(
        np.einsum("nij,nik->njk", frames, frames), np.eye(2)[None].repeat(len(field), 0), atol=1e-12
    )
    within = np.einsum("nij,nkj,nk->ni", frames, frames, field)
    np.testing.assert_allclose(within, field, atol=1e-12)


def test_noise_is_tangent_and_as_large_as_told(phantom: SurfacePhantom) -> None:
    mesh, observed = phantom.mesh, phantom.observed
    assert len(observed.points) == round(0.3 * len(mesh.vertices))
    place = [int(np.flatnonzero((mesh.vertices == point).all(axis=1))[0]) for point in observed.points]
    noise = observed.vectors - phantom.truth.vectors[place]
    assert observed.sd is not None
    assert (noise / observed.sd).std() == pytest.approx(1, abs=0.06)
    assert np.square(noise).sum(axis=1).mean() == pytest.approx(2 * 0.1**2, rel=0.15)
    normals = SURFACES["sphere"](len(mesh.vertices), 1.0, np.random.default_rng(0)).normals
    if np.allclose(np.linalg.norm(mesh.vertices, axis=1), 50):
        assert np.abs((noise * normals[place]).sum(axis=1)).max() < 1e-12
