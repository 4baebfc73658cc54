"""Missing vectors, outliers, and noise that goes as the inverse of the magnitude."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fields.flows import Tube, tube
from voxfield.artifacts import Image, PartialVectorImage
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.fields import reconstruct
from voxfield.fields._model import Measured
from voxfield.fields._outliers import _LeaveOneOut, suspects
from voxfield.fields._reconstruct import Reconstruction

SETTLED: dict[str, Any] = {"smoothness": 4.5, "noise_correlation": 0.0, "wall": "none", "wall_levels": (0.5,)}


@pytest.fixture(scope="module")
def flow() -> Tube:
    return tube(radius_mm=2.6, length=10)


def solved(flow: Tube, data: np.ndarray, ctx: Context | None = None, magnitude: Image | None = None) -> Reconstruction:
    velocity = PartialVectorImage(data, flow.velocity.affine, unit="m/s")
    ctx = ctx or Context(device="cpu")
    return reconstruct(velocity, flow.probability, None, flow.openings, magnitude, ctx=ctx, **SETTLED)


def coverage(flow: Tube, found: Reconstruction) -> float:
    error = found.mean.data[..., 0, :] - flow.truth
    return float((np.abs(error) <= 1.96 * found.sd.data[..., 0, :])[flow.lumen].mean())


def codes(ctx: Context) -> list[str]:
    return [finding.code for finding in ctx.findings]


def test_what_is_missing_is_predicted_and_told(flow: Tube, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = flow.velocity.data.copy()
    missing = flow.lumen & (rng.random(flow.lumen.shape) < 0.3)
    data[missing] = np.nan
    path = tmp_path / "velocity.nii.gz"
    PartialVectorImage(data, flow.velocity.affine, unit="m/s").save(path)
    velocity = reconstruct.inputs[0].kind.load(path)  # as the command does
    ctx = Context(device="cpu")
    velocity.check(ctx)
    found = solved(flow, velocity.data, ctx)
    assert np.isfinite(found.mean.data).all()
    error = np.linalg.norm((found.mean.data[..., 0, :] - flow.truth)[missing]) / np.linalg.norm(flow.truth[missing])
    assert error < 0.15
    assert "missing-velocities" in codes(ctx)
    assert found.metrics.values["missing"] >= missing.sum()


def test_gross_outliers_are_listed_and_do_no_harm(flow: Tube) -> None:
    rng = np.random.default_rng(1)
    clean = solved(flow, flow.velocity.data)
    assert clean.metrics.values["outliers"] == []
    data = flow.velocity.data.copy()
    wrong = np.argwhere(flow.lumen & (rng.random(flow.lumen.shape) < 0.05))
    data[tuple(wrong.T)] = rng.uniform(-2, 2, (len(wrong), 1, 3))
    ctx = Context(device="cpu")
    found = solved(flow, data, ctx)
    listed = {tuple(place[:3]) for place in found.metrics.values["outliers"]}
    gross = {tuple(p) for p in wrong.tolist() if np.linalg.norm(data[tuple(p)][0] - flow.truth[tuple(p)]) > 0.8}
    assert gross <= listed
    assert len(listed - {tuple(p) for p in wrong.tolist()}) <= 1
    assert flow.error(found.mean.data[..., 0, :]) < 1.25 * flow.error(clean.mean.data[..., 0, :])
    assert found.metrics.values["noise_sd"] == pytest.approx(0.1, rel=0.2)
    assert coverage(flow, found) > 0.85
    assert "outliers" in codes(ctx)


def test_leave_one_out_is_that_of_dense_algebra() -> None:
    rng = np.random.default_rng(2)
    root = rng.standard_normal((18, 18))
    covariance = root @ root.T + np.eye(18)
    values = rng.standard_normal((4, 3))  # behind two points of a wall
    test = _LeaveOneOut(np.linalg.inv(covariance), 2, values)
    test.remove(1)
    place, square = test.worst()
    squares = {}
    for left in (0, 2, 3):
        row = np.arange(6 + 3 * left, 9 + 3 * left)
        kept = np.setdiff1d(np.arange(18), [*row, 9, 10, 11])
        gain = np.linalg.solve(covariance[np.ix_(kept, kept)], covariance[np.ix_(kept, row)]).T
        known = np.concatenate([np.zeros(6), values.ravel()])[kept]
        spread = covariance[np.ix_(row, row)] - gain @ covariance[np.ix_(kept, row)]
        residual = values[left] - gain @ known
        squares[left] = residual @ np.linalg.solve(spread, residual)
    assert place == max(squares, key=lambda k: squares[k])
    assert square == pytest.approx(squares[place])
    kept = np.setdiff1d(np.arange(18), [9, 10, 11])
    gain = np.linalg.solve(covariance[np.ix_(kept, kept)], covariance[kept, 9:12]).T
    known = np.concatenate([np.zeros(6), values.ravel()])[kept]
    np.testing.assert_allclose(test.values()[1], gain @ known)


def test_the_median_test_spares_gaussian_noise() -> None:
    voxels = np.argwhere(np.ones((12, 12, 12)))
    values = np.random.default_rng(3).standard_normal((len(voxels), 3, 1))
    found = suspects(Measured(voxels, values, np.ones(len(voxels)), np.eye(3)))
    assert found.proposed.mean() < 2e-3


def test_noise_follows_the_magnitude(flow: Tube) -> None:
    rng = np.random.default_rng(4)
    magnitude = np.exp(0.8 * rng.standard_normal(flow.lumen.shape))
    noise = 0.08 * rng.standard_normal(flow.truth.shape) / magnitude[..., None]
    data = flow.truth + noise
    image = Image(magnitude.astype(np.float32), flow.velocity.affine)
    even, weighed = solved(flow, data), solved(flow, data, magnitude=image)
    assert weighed.metrics.values["model"]["signal"] == 1.0
    assert flow.error(weighed.mean.data[..., 0, :]) < 0.8 * flow.error(even.mean.data[..., 0, :])
    same = Image(np.ones_like(image.data), flow.velocity.affine)
    alike = solved(flow, flow.velocity.data, magnitude=same)
    np.testing.assert_allclose(alike.mean.data, solved(flow, flow.velocity.data).mean.data, atol=0.02)


def test_refusals(flow: Tube) -> None:
    data = flow.velocity.data.copy()
    data[flow.lumen] = np.inf
    with pytest.raises(InputError, match="infinite"):
        solved(flow, data)
    with pytest.raises(InputError, match="none below 0"):
        solved(flow, flow.velocity.data, magnitude=Image(-np.ones(flow.lumen.shape, "f4"), flow.velocity.affine))
