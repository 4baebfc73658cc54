"""Frames of a cycle: modes against the kernel, and a pulsating flow told frame by frame and all together."""

from typing import Any

import numpy as np
import pytest

from fields.flows import Tube, tube
from voxfield.artifacts import VectorImage
from voxfield.context import Context
from voxfield.fields import reconstruct
from voxfield.fields._frames import one_by_one, periodic
from voxfield.fields._reconstruct import Reconstruction

FRAMES = 8
SETTLED: dict[str, Any] = {"smoothness": 2.5, "noise_correlation": 0.0, "wall": "none", "wall_levels": (0.5,)}


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_modes_diagonalise_the_periodic_kernel(count: int) -> None:
    modes = periodic(count, 0.7)
    time = np.arange(count) / count
    kernel = np.exp(-2 * np.square(np.sin(np.pi * (time[:, None] - time)) / 0.7))
    assert modes.basis is not None
    np.testing.assert_allclose(modes.basis.T @ modes.basis, np.eye(count), atol=1e-12)
    np.testing.assert_allclose(modes.basis * modes.shares @ modes.basis.T, kernel, atol=1e-6)
    values = np.random.default_rng(0).standard_normal((4, 3, count))
    back = modes.frames(np.moveaxis(modes.of(values), -1, 0))
    np.testing.assert_allclose(np.moveaxis(back, 0, -1), values, atol=1e-12)
    np.testing.assert_allclose(modes.frame_variance(np.ones((count, 2))), 1.0)


def test_frames_that_are_told_one_by_one_are_their_own_modes() -> None:
    modes = one_by_one(3)
    values = np.random.default_rng(0).standard_normal((4, 3, 3))
    assert modes.of(values) is values
    assert [(share, columns.tolist()) for share, columns in modes.groups()] == [(1.0, [0, 1, 2])]


@pytest.fixture(scope="module")
def flow() -> Tube:
    return tube(radius_mm=2.2, length=7)


def pulse() -> np.ndarray:
    """Flow over a cycle: steady part, and a systole."""
    phase = np.arange(FRAMES) / FRAMES
    return 0.4 + 0.6 * np.exp(-np.square((phase - 0.35) / 0.15))


def solved(flow: Tube, data: np.ndarray, frames: str, ctx: Context | None = None) -> Reconstruction:
    velocity = VectorImage(data, flow.velocity.affine, unit="m/s")
    ctx = ctx or Context(device="cpu")
    return reconstruct(velocity, flow.probability, None, flow.openings, frames=frames, ctx=ctx, **SETTLED)


def test_a_pulsating_flow_is_told_better_together(flow: Tube) -> None:
    truth = pulse()[:, None] * flow.truth[..., None, :]
    data = truth + 0.2 * np.random.default_rng(0).standard_normal(truth.shape)
    ctx = Context(device="cpu")
    together, apart = solved(flow, data, "cycle", ctx), solved(flow, data, "independent")

    def error(found: Reconstruction) -> float:
        return float(np.linalg.norm((found.mean.data - truth)[flow.lumen]) / np.linalg.norm(truth[flow.lumen]))

    assert error(together) < 0.85 * error(apart)
    assert "frames-joined" in [finding.code for finding in ctx.findings]
    inside = np.abs(together.mean.data - truth) <= 1.96 * together.sd.data
    assert inside[flow.lumen].mean() > 0.88
    assert together.metrics.values["sample_divergence"] < 1e-12
    fields = np.stack([together.samples.dense(s)[flow.lumen] for s in range(len(together.samples))])
    spread = np.sqrt(np.square(fields - together.mean.data[flow.lumen]).mean())
    assert spread == pytest.approx(np.sqrt(np.square(together.sd.data[flow.lumen]).mean()), rel=0.2)


def test_one_frame_does_not_know_of_a_cycle(flow: Tube) -> None:
    alone, cycle = (solved(flow, flow.velocity.data, frames) for frames in ("independent", "cycle"))
    np.testing.assert_array_equal(alone.mean.data, cycle.mean.data)
    np.testing.assert_array_equal(alone.sd.data, cycle.sd.data)
    np.testing.assert_array_equal(alone.samples.values, cycle.samples.values)
