"""fields.prepare on phantoms: turns, offset, signs and axes, and what is refused."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from fields.scans import Scan, scan
from voxfield.artifacts import Grid, Image, ImageSeries
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.fields import prepare
from voxfield.fields._prepare import Preparation
from voxfield.fields.preparation._background import fit_background, monomials, term_count
from voxfield.fields.preparation._directions import PATIENT, to_world
from voxfield.fields.preparation._unwrap import neighbours, unwrap
from voxfield.testing import StageContract

RAS: dict[str, Any] = {"venc_m_per_s": (1.0,), "directions": ("R", "A", "S")}
TURN = 2 * np.pi


class TestContract(StageContract):
    """A vessel in tissue, wrapped once."""

    name = "fields.prepare"

    def make_inputs(self) -> Mapping[str, Any]:
        made = scan(peak=1.5, noise=0.02, offset=0.1)
        return made.inputs(tissue=made.tissue)

    def make_settings(self) -> Mapping[str, Any]:
        return {"venc_m_per_s": [1.0], "directions": ["R", "A", "S"]}


def body(made: Scan) -> np.ndarray:
    return np.asarray(made.magnitude.data > 50)


def prepared(made: Scan, **settings: Any) -> Preparation:
    return prepare(**made.inputs(), **{**RAS, **settings})


@pytest.mark.parametrize("frames", [1, 6])
@pytest.mark.parametrize("noise", [0.0, 0.06])
def test_several_turns_are_undone_exactly(frames: int, noise: float) -> None:
    made = scan(peak=3.6, frames=frames, noise=noise)
    got = prepared(made, background=False)
    error = (got.velocity.data - made.truth)[body(made)]
    assert np.abs(error).max() < 6 * noise + 1e-5
    assert got.metrics.values["components"][2]["most_turns"] == 2


def test_result_differs_from_the_measurement_by_whole_turns() -> None:
    made = scan(peak=2.4, noise=0.05)
    got = prepared(made, background=False).velocity.data
    turns = (got - np.stack([p.data[..., None] if p.data.ndim == 3 else p.data for p in made.phases], -1) / np.pi) / 2
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-6)
    assert np.abs(turns).max() == 1


def test_without_unwrapping_the_wraps_are_told() -> None:
    ctx = Context()
    made = scan(peak=1.6)
    got = prepare(**made.inputs(), **RAS, unwrap=False, background=False, ctx=ctx)
    assert np.abs(got.velocity.data).max() <= 1 + 1e-6
    assert "wraps-ambiguous" in ctx.findings.codes()
    at_ends = (np.abs([phase.data for phase in made.phases]) > 0.95 * np.pi).any(axis=0)
    told = next(found for found in ctx.findings if found.code == "near-venc")
    assert told.value == (at_ends.reshape(body(made).shape) & body(made)).sum()


@given(st.integers(0, 2**20))
@settings(max_examples=40)
def test_cuts_reach_the_least_cost_of_all_counts(seed: int) -> None:
    """Against every combination of counts of a row of voxels between two that are not in doubt."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(-np.pi, np.pi, (6, 1, 1, 1))
    weights, signal = rng.uniform(0.2, 1, (6, 1, 1)), np.ones((6, 1, 1), dtype=bool)
    pairs = neighbours(phase.shape, weights, signal, cyclic=False)

    def cost(turns: np.ndarray) -> float:
        values = phase.ravel() + TURN * turns
        return float((pairs.weight * np.square(values[pairs.first] - values[pairs.second])).sum())

    every = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 6, indexing="ij"), -1).reshape(-1, 6)
    steps = np.diff(phase.ravel() + TURN * every, axis=1)
    least = float((np.square(steps) @ pairs.weight).min())
    assert cost(unwrap(phase, weights, signal, cyclic=False).ravel()) <= least + 0.02 * 6


@pytest.mark.parametrize("frames", [1, 6])
def test_background_is_found_to_known_accuracy(frames: int) -> None:
    made = scan(peak=0.8, frames=frames, noise=0.04, offset=0.1, radius=4.0)
    got = prepared(made)
    rest = body(made)
    left = (got.velocity.data.mean(axis=3) - made.truth.mean(axis=3))[rest]
    assert np.abs(made.offset[rest]).max() > 0.05
    for c in range(3):
        told = got.metrics.values["components"][c]["background"]
        assert abs(left[:, c].mean()) < 0.003
        assert told["static_rms_after_m_per_s"] < told["static_rms_before_m_per_s"]
        assert told["order"] in (1, 2)
        assert told["offset_sd_m_per_s"] < 0.004


def test_standard_deviation_of_the_offset_is_that_of_its_error() -> None:
    shape, errors, told = (18, 18, 12), [], []
    static = np.ones(shape, dtype=bool)
    places = np.argwhere(static)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        fit = fit_background(0.1 * rng.standard_normal(shape), np.ones(shape), static, 1, rng)
        assert fit is not None
        errors.append(np.square(fit.offset(shape)).mean())
        told.append(np.square(fit.sd(places, shape)).mean())
    assert np.mean(told) == pytest.approx(np.mean(errors), rel=0.25)


def test_order_is_that_of_the_truth_and_flow_does_not_disturb_it() -> None:
    rng = np.random.default_rng(0)
    shape = (24, 24, 18)
    static = np.ones(shape, dtype=bool)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    for order, truth in enumerate((0.1 + 0 * x, 0.1 * x - 0.05 * y, 0.1 * x * y - 0.08 * z**2)):
        values = truth + 0.03 * rng.standard_normal(shape)
        values[8:12, 8:12] += 0.7  # a vessel that was taken for tissue
        fit = fit_background(values, np.ones(shape), static, None, rng)
        assert fit is not None
        assert fit.order == order
        assert np.abs(fit.offset(shape) - truth).max() < 0.012


def test_number_of_terms() -> None:
    places = np.random.default_rng(0).random((5, 3))
    assert [monomials(places, k).shape[1] for k in range(5)] == [term_count(k) for k in range(5)] == [1, 4, 10, 20, 35]


def test_static_tissue_and_noise() -> None:
    made = scan(peak=0.8, frames=8, noise=0.05)
    got = prepared(made)
    static = got.static.data > 0
    assert not (static & (made.truth.std(axis=3).max(axis=-1) > 0.2)).any()
    assert (static & body(made) & ~made.vessel).sum() > 0.9 * (body(made) & ~made.vessel).sum()
    for component in got.metrics.values["components"]:
        assert component["noise_sd_m_per_s"] == pytest.approx(0.05, rel=0.15)
    single = prepared(scan(peak=0.8, noise=0.05))
    assert single.metrics.values["components"][0]["noise_sd_m_per_s"] == pytest.approx(0.05, rel=0.2)


def test_angiogram_is_bright_in_flow() -> None:
    made = scan(frames=4, noise=0.02)
    bright = prepared(made).pcmra.data
    core = np.linalg.norm(made.truth.mean(axis=3), axis=-1) > 0.5
    assert bright[core].min() > 5 * np.median(bright[body(made) & ~made.vessel])
    assert bright[core].min() > 5 * np.median(bright[~body(made)])


@given(strategies.affines(), st.permutations(["RL", "AP", "SI"]), st.tuples(*[st.integers(0, 1)] * 3))
def test_letters_are_world_axes_whatever_the_affine(affine: Any, order: list[str], sides: tuple[int, ...]) -> None:
    names = tuple(pair[side] for pair, side in zip(order, sides, strict=True))
    world = np.array([0.3, -1.2, 2.0])
    encoded = np.array([world @ PATIENT[name] for name in names])
    np.testing.assert_allclose(to_world(names, Grid((3, 3, 3), affine)) @ encoded, world, atol=1e-12)


@given(strategies.affines(), st.tuples(*[st.sampled_from("+-")] * 3))
def test_voxel_axes_turn_with_the_affine(affine: Any, signs: tuple[str, ...]) -> None:
    grid = Grid((3, 3, 3), affine)
    names = tuple(sign + axis for sign, axis in zip(signs, "ijk", strict=True))
    step = np.array([0.4, 0.1, -0.7]) / grid.spacing  # voxels in unit time
    world = affine[:3, :3] @ step
    encoded = step * grid.spacing * np.array([1.0 if s == "+" else -1.0 for s in signs])
    np.testing.assert_allclose(to_world(names, grid) @ encoded, world, atol=1e-9)


def test_flow_points_along_the_vessel_of_an_oblique_flipped_slab() -> None:
    angle = 0.6
    affine = np.eye(4)
    affine[:3, :3] = np.array([[np.cos(angle), 0, np.sin(angle)], [0, -1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    affine[:3, :3] *= [1.5, 1.5, 2.0]
    made = scan(peak=0.8, affine=affine)
    got = prepared(made, directions=("+i", "+j", "+k"), background=False).velocity.data[12, 11, 10, 0]
    along = affine[:3, 2] / 2.0 + 0.2 * affine[:3, 0] / 1.5
    np.testing.assert_allclose(got / np.linalg.norm(got), along / np.linalg.norm(along), atol=1e-5)


@pytest.mark.parametrize("levels", [(0.0, 4096.0), (-4096.0, 4096.0), (-np.pi, np.pi), (-180.0, 180.0), (0.0, 360.0)])
def test_usual_ranges_are_recognised(levels: tuple[float, float]) -> None:
    made = scan(peak=0.8, levels=levels)
    got = prepared(made, background=False)
    assert got.metrics.values["phase_range"] == pytest.approx(levels)
    assert np.abs(got.velocity.data - made.truth)[body(made)].max() < 1e-5


def test_without_magnitude_signal_is_where_phases_agree() -> None:
    made, ctx = scan(peak=1.5, noise=0.03), Context()
    first, second, third = made.phases
    got = prepare(first, second, third, **RAS, background=False, ctx=ctx)
    assert "no-magnitude" in ctx.findings.codes()
    assert np.abs(got.velocity.data - made.truth)[made.vessel].max() < 0.3


def test_steep_jumps_remain_ambiguous() -> None:
    ctx = Context()
    made = scan(peak=12.0, noise=0.1)  # more than half a turn from voxel to voxel: nobody can tell
    prepare(**made.inputs(), **RAS, ctx=ctx)
    assert "wraps-ambiguous" in ctx.findings.codes()


def test_refusals() -> None:
    made = scan(peak=0.8)
    first, second, third = made.phases
    with pytest.raises(SettingsError, match="venc_m_per_s"):
        prepare(**made.inputs(), directions=("R", "A", "S"))
    with pytest.raises(SettingsError, match="directions"):
        prepare(**made.inputs(), venc_m_per_s=(1.0,))
    with pytest.raises(SettingsError, match="do not span space"):
        prepared(made, directions=("R", "L", "S"))
    with pytest.raises(SettingsError, match="'X'"):
        prepared(made, directions=("X", "L", "S"))
    with pytest.raises(SettingsError, match="phase_range"):
        prepared(made, phase_range=(4096.0, 0.0))
    with pytest.raises(InputError, match="range of one turn"):
        prepared(made, phase_range=(-1.0, 1.0))
    small = [ImageSeries(0.1 * p.data, p.affine) for p in made.phases]
    with pytest.raises(InputError, match="phase_range"):
        prepare(*small, made.magnitude, **RAS)
    with pytest.raises(InputError, match="'m/s'"):
        prepare(ImageSeries(first.data, first.affine, unit="m/s"), second, third, made.magnitude, **RAS)
    with pytest.raises(InputError, match="disagree"):
        prepare(first, second, ImageSeries(third.data, np.eye(4)), made.magnitude, **RAS)
    with pytest.raises(InputError, match="not negative"):
        prepare(first, second, third, Image(made.magnitude.data - 200, first.affine), **RAS)
