"""The stages graph, fit and predict: their contract, and what passes between them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fields import surfaces
from fields.manifolds import relative, sphere, waves
from voxfield.artifacts import Artifact, LabelMap, Manifold, Model, PointField
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.fields import fit, graph, predict
from voxfield.findings import Findings
from voxfield.testing import StageContract

POINTS = sphere(200)
FIELD = waves(POINTS, POINTS)
OBSERVED = PointField(POINTS[:60], FIELD[:60], unit="m/s")


@cache
def domain() -> Manifold:
    return graph(PointField(POINTS, FIELD)).domain


@cache
def model() -> Model:
    return fit(domain(), OBSERVED, modes=20).model


class TestGraph(StageContract):
    name = "fields.graph"

    def make_inputs(self) -> Mapping[str, Artifact]:
        return {"points": PointField(POINTS, FIELD)}


class TestFit(StageContract):
    name = "fields.fit"

    def make_inputs(self) -> Mapping[str, Artifact]:
        return {"domain": domain(), "observed": OBSERVED}

    def make_settings(self) -> Mapping[str, Any]:
        return {"modes": 20}


class TestPredict(StageContract):
    name = "fields.predict"

    def make_inputs(self) -> Mapping[str, Artifact]:
        return {"model": model(), "points": PointField(sphere(50, seed=1), np.zeros((50, 3)))}


def test_from_points_to_samples() -> None:
    result = predict(model())
    assert relative(result.field.vectors, FIELD) < 0.1
    assert result.field.unit == result.samples.unit == "m/s"
    assert result.samples.values.shape == (16, 200, 3)
    assert result.metrics.values["observations"] == 60
    assert 0 < result.metrics.values["frame_error_rad"] < 0.1
    again = predict(model(), PointField(POINTS[::-1], FIELD))
    np.testing.assert_allclose(again.field.vectors[::-1], result.field.vectors, atol=1e-8)


@pytest.mark.parametrize("kernel", ["intrinsic", "ambient"])
@pytest.mark.parametrize("scalar", [False, True])
def test_kernels_and_scalars(kernel: str, scalar: bool) -> None:
    values = FIELD[:, :1] if scalar else FIELD
    fitted = fit(domain(), PointField(POINTS[:100], values[:100]), kernel=kernel, modes=40)
    result = predict(fitted.model)
    assert result.field.vectors.shape == values.shape
    assert (result.field.frames is None) == scalar
    assert relative(result.field.vectors, values) < 0.35
    assert (fitted.metrics.values["ambient"] is None) == (kernel == "intrinsic")


def test_a_mesh_a_mask_and_given_frames() -> None:
    mesh = surfaces.sphere(3)
    made = graph(mesh=mesh)
    assert made.metrics.values["points"] == len(mesh.vertices)
    assert 0 < made.metrics.values["frame_error_rad"] < 0.05
    assert graph(mask=LabelMap(np.ones((4, 3, 3), dtype=int), np.eye(4))).domain.frames.shape == (36, 3, 3)
    given = np.stack([np.cross(POINTS, [0, 0, 1]), np.cross(POINTS, np.cross(POINTS, [0, 0, 1]))], axis=2)
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    found = graph(PointField(POINTS, FIELD, given))
    outside = np.einsum("nda,nd->na", found.domain.frames, POINTS)
    np.testing.assert_allclose(outside, 0, atol=1e-12)


def test_thinning_keeps_points_apart() -> None:
    made = graph(PointField(POINTS, FIELD), spacing=0.2)
    gaps = np.linalg.norm(made.domain.points[:, None] - made.domain.points, axis=2)
    assert gaps[~np.eye(len(gaps), dtype=bool)].min() > 0.2
    assert len(gaps) < 200


def test_findings_tell_of_pieces() -> None:
    findings = Findings()
    two = np.vstack([POINTS, POINTS + np.array([9, 0, 0])])
    graph(PointField(two, two), ctx=Context(findings=findings))
    assert findings.codes() == ["several-pieces"]


def test_errors_of_the_numbers_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cloud.safetensors"
    PointField(np.vstack([POINTS, POINTS[:1]]), np.vstack([FIELD, FIELD[:1]])).save(path)
    with pytest.raises(InputError, match=r"cloud\.safetensors: 2 points lie on top of another"):
        graph(PointField.load(path))
    PointField(3 * POINTS, FIELD).save(path)
    with pytest.raises(InputError, match=r"cloud\.safetensors: 200 points lie off the domain"):
        predict(model(), PointField.load(path))


def test_what_is_refused() -> None:
    points = PointField(POINTS, FIELD)
    with pytest.raises(InputError, match="just one of them"):
        graph(points, surfaces.sphere(1))
    with pytest.raises(InputError, match="just one of them"):
        graph()
    with pytest.raises(SettingsError, match="are for scattered points"):
        graph(mesh=surfaces.sphere(1), dimension=2)
    with pytest.raises(SettingsError, match="noise_sd is for the kernels sum and ambient"):
        fit(domain(), points, kernel="intrinsic", noise_sd=0.1)
    with pytest.raises(InputError, match="has points of 2 coordinates, the domain of 3"):
        fit(domain(), PointField(np.zeros((9, 2)), np.zeros((9, 2))))
    other = Model(model().weights, {}, family="segmentation", architecture="unet", licence="none")
    with pytest.raises(InputError, match="is a model of the family 'segmentation'; expected 'manifold-field'"):
        predict(other)
    with pytest.raises(InputError, match="points lie off the domain"):
        predict(model(), PointField(3 * POINTS, FIELD))
    broken = dict(domain().arrays)
    broken["edges"] = broken["edges"][:, ::-1]
    with pytest.raises(InputError, match="expected pairs i < j among 200"):
        Manifold(**broken)
    broken["edges"] = broken["edges"][:-1]
    with pytest.raises(InputError, match=r"its weights have shape \(\d+,\); expected \(\d+\)"):
        Manifold(**broken)
