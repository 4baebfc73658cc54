"""The stage pde.pressure: units, references, findings, statistics and what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pde.exact import Tube
from voxfield.artifacts import FieldSamples, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.pde import pressure
from voxfield.pde._pressure import Pressure

TUBE = Tube((36, 20, 18), (1e-3,) * 3, 5.4e-3, (1, 0.2, 0.1), 24e-3)
NAMES = {1: "wall", 2: "inlet", 3: "outlet"}
Make = Callable[..., tuple[FieldSamples, LabelMap]]


def affine(turn: np.ndarray | None = None) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if turn is None else turn) * np.array(TUBE.spacing) * 1e3
    matrix[:3, 3] = (5, -7, 9)
    return matrix


def inputs(
    scale: np.ndarray | float = 1.0,
    *,
    unit: str | None = "m/s",
    drawn: np.ndarray | None = None,
    frames: int = 1,
    turn: np.ndarray | None = None,
) -> tuple[FieldSamples, LabelMap]:
    """16 samples of Poiseuille flow, each scaled by its own factor, in lumens (16, x, y, z) or in one."""
    mask = TUBE.mask if drawn is None else drawn.any(axis=0)
    factors = np.broadcast_to(scale, 16)[:, None, None, None]
    velocity = TUBE.sample(mask)
    if turn is not None:
        velocity = velocity @ turn.T
    values = np.repeat(factors * velocity, frames, axis=1)
    inside = None if drawn is None else drawn[:, mask]
    samples = FieldSamples(values, mask, affine(turn), inside=inside, unit=unit)
    return samples, LabelMap(TUBE.marks, affine(turn), labels=NAMES)


def run(*given: Any, **settings: Any) -> tuple[Pressure, Context]:
    context = Context()
    return pressure(*given, ctx=context, **settings), context


def outlet(result: Pressure) -> dict[str, Any]:
    return result.drops.rows()[1]


def test_the_drop_in_pascal_and_in_millimetres_of_mercury() -> None:
    result, context = run(*inputs())
    inlet, end = result.drops.rows()
    assert (inlet["name"], inlet["reference"], inlet["pressure_pa"]) == (
        "inlet",
        1,
        pytest.approx(0, abs=1e-6),
    )
    assert end["pressure_pa"] == pytest.approx(-TUBE.drop, rel=0.01)
    assert end["pressure_mmhg"] == pytest.approx(-TUBE.drop / 133.322, rel=0.01)
    assert end["work_energy_mmhg"] == pytest.approx(end["pressure_mmhg"], rel=0.01)
    assert end["stokes_mmhg"] == pytest.approx(end["pressure_mmhg"], rel=0.01)
    assert inlet["stokes_mmhg"] == 0
    assert end["mean_field_mmhg"] == pytest.approx(end["pressure_mmhg"], rel=1e-4)
    assert end["sd_samples_pa"] < 1e-5
    assert abs(end["pressure_pa"] + TUBE.drop) < 2 * end["sd_discretisation_pa"] < 0.02 * TUBE.drop
    assert (inlet["sd_pa"], inlet["sd_discretisation_pa"]) == (pytest.approx(0, abs=1e-6), 0)
    assert end["flow_ml_per_s"] == pytest.approx(TUBE.flux * 1e6, rel=0.05)
    assert end["voxels_across"] == pytest.approx(10.8, abs=0.4)
    assert context.findings.codes() == ["no-transient-term"]
    assert result.metrics.values["reference"] == "inlet"
    for artifact in result:
        artifact.check(context)


@pytest.mark.parametrize(("unit", "factor"), [("cm/s", 100), ("mm/s", 1000)])
def test_units_of_speed_are_converted(unit: str, factor: float) -> None:
    result, _ = run(*inputs(factor, unit=unit))
    assert outlet(result)["pressure_pa"] == pytest.approx(-TUBE.drop, rel=0.01)


@pytest.mark.parametrize(("unit", "words"), [(None, "has no unit"), ("pixels", "has the unit 'pixels'")])
def test_a_velocity_without_a_unit_is_refused(unit: str | None, words: str, tmp_path: Path) -> None:
    samples, openings = inputs(unit=unit)
    samples.save(tmp_path / "samples.safetensors")
    loaded = FieldSamples.load(tmp_path / "samples.safetensors")
    with pytest.raises(InputError, match=f"samples.safetensors: the velocity {words}; expected m/s, cm/s or mm/s"):
        pressure(loaded, openings)


def test_the_result_does_not_depend_on_how_the_grid_lies_in_the_world() -> None:
    turn = np.array([[0, -1, 0], [0.6, 0, -0.8], [0.8, 0, 0.6]], dtype=float)
    plain, _ = run(*inputs())
    turned, _ = run(*inputs(turn=turn))
    np.testing.assert_allclose(turned.pressure.data, plain.pressure.data, atol=1e-4)


def test_reference_by_label_and_by_name() -> None:
    for wanted in (3, "outlet"):
        result, _ = run(*inputs(), reference=wanted)
        assert result.metrics.values["reference"] == "outlet"
        assert result.drops.rows()[0]["pressure_pa"] == pytest.approx(TUBE.drop, rel=0.01)
    with pytest.raises(SettingsError, match=r"'reference' is 'aorta'; expected one of the openings 2 \(inlet\), 3"):
        run(*inputs(), reference="aorta")


def test_without_a_named_inlet_the_reference_is_where_the_flow_comes_in() -> None:
    samples, openings = inputs(-1.0)
    result, _ = run(samples, LabelMap(openings.data, openings.affine))
    assert result.metrics.values["reference"] == "opening-3"


def test_spread_of_the_samples_becomes_the_standard_deviation_and_the_bias() -> None:
    factors = 1 + 0.1 * np.random.default_rng(0).standard_normal(16)
    result, _ = run(*inputs(factors))
    end = outlet(result)
    assert end["sd_samples_pa"] == pytest.approx(TUBE.drop * factors.std(ddof=1), rel=0.05)
    assert end["sd_pa"] == pytest.approx(np.hypot(end["sd_samples_pa"], end["sd_discretisation_pa"]))
    assert end["stokes_sd_mmhg"] == pytest.approx(end["sd_samples_pa"] / 133.322, rel=0.05)
    assert end["mean_field_mmhg"] == pytest.approx(end["pressure_mmhg"], rel=0.01)  # the pressure is linear here
    values, held = result.pressure_samples.values[:, 0, :, 0], TUBE.mask
    np.testing.assert_allclose(result.pressure.data[held], values.mean(axis=0), atol=1e-4)
    shared = result.pressure_sd.data[held] ** 2 - values.var(axis=0, ddof=1)  # the error that all samples share
    assert shared.min() > -1e-5
    assert np.sqrt(shared.max()) == pytest.approx(end["sd_discretisation_pa"], rel=0.5)


def test_every_sample_lives_in_its_own_lumen() -> None:
    drawn = np.repeat(TUBE.mask[None], 16, axis=0)
    rim = TUBE.mask & ~np.roll(TUBE.mask, 1, axis=1)
    drawn[:4] &= ~rim
    drawn[12:] |= np.roll(TUBE.mask, -1, axis=1) & (TUBE.marks < 2)
    result, _ = run(*inputs(drawn=drawn))
    found = result.pressure_samples
    np.testing.assert_array_equal(found.lumen(0), drawn[0])
    np.testing.assert_array_equal(found.lumen(15), drawn[15])
    few = drawn.sum(axis=0)
    assert (result.pressure.data[(few > 0) & (few < 8)] == 0).all()
    assert result.pressure_sd.data[few >= 8].max() < 0.05 * TUBE.drop
    assert outlet(result)["pressure_pa"] == pytest.approx(-TUBE.drop, rel=0.05)
    for estimator in ("stokes", "work_energy"):
        assert outlet(result)[f"{estimator}_mmhg"] == pytest.approx(-TUBE.drop / 133.322, rel=0.05)
        assert outlet(result)[f"{estimator}_sd_mmhg"] > 0  # the lumens differ, the velocity does not


def test_what_the_reference_does_not_reach_has_no_pressure_and_is_told() -> None:
    mask = TUBE.mask.copy()
    mask[24:26] = False
    result, context = run(*inputs(drawn=np.repeat(mask[None], 16, axis=0)))
    assert {"disconnected-lumen", "opening-unreached"} <= set(context.findings.codes())
    assert outlet(result)["pressure_pa"] is outlet(result)["stokes_mmhg"] is None
    assert result.pressure_samples.mask.sum() == mask[:24].sum()
    assert (result.pressure.data[25:] == 0).all()


def test_lumens_that_miss_the_reference_are_counted() -> None:
    drawn = np.repeat(TUBE.mask[None], 16, axis=0)
    drawn[5, :20] = False
    result, context = run(*inputs(drawn=drawn))
    assert next(f.value for f in context.findings if f.code == "samples-lost") == 1
    assert outlet(result)["samples"] == 15


def test_a_throat_of_few_voxels_is_told() -> None:
    y, z = TUBE.points[..., 1], TUBE.points[..., 2]
    x = TUBE.points[..., 0]
    narrow = np.hypot(y - 0.010 - 0.2 * (x - 0.018), z - 0.009 - 0.1 * (x - 0.018)) < 1.6e-3
    mask = TUBE.mask & (narrow | (np.abs(x - 0.018) > 2e-3))
    _, context = run(*inputs(drawn=np.repeat(mask[None], 16, axis=0)))
    finding = next(f for f in context.findings if f.code == "throat-unresolved")
    assert finding.value == pytest.approx(3.2, abs=0.6)
    assert "on the way to outlet" in finding.message


def test_frames_need_their_spacing_and_bring_the_transient_term() -> None:
    with pytest.raises(SettingsError, match="'frame_spacing_s' is not given; the samples have 3 frames"):
        run(*inputs(frames=3))
    samples, openings = inputs(frames=3)
    along = TUBE.sample(TUBE.mask)[0] / np.linalg.norm(TUBE.sample(TUBE.mask)[0])
    # Poiseuille flow and a plug that speeds up by 2 m/s^2: an exact flow whose drop is that of both.
    values = samples.values + np.array([0.0, 0.1, 0.2])[:, None, None] * along
    samples = FieldSamples(values, samples.mask, samples.affine, unit="m/s")
    result, context = run(samples, openings, frame_spacing_s=0.05, cyclic=False)
    assert "no-transient-term" not in context.findings.codes()
    assert result.pressure.data.shape == (*TUBE.mask.shape, 3)
    rows = [row for row in result.drops.rows() if row["name"] == "outlet"]
    for row in rows:
        assert row["pressure_pa"] == pytest.approx(-TUBE.drop - 1060 * 2.0 * 24e-3, rel=0.005)


def test_openings_on_a_coarser_grid_are_taken_by_nearest_voxel() -> None:
    samples, openings = inputs()
    coarse = affine()
    coarse[:3, :3] *= 2
    coarse[:3, 3] += 0.5
    caps = openings.data[::2, ::2, ::2]
    result, context = run(samples, LabelMap(caps, coarse, labels=NAMES))
    assert "openings-resampled" in context.findings.codes()
    assert outlet(result)["pressure_pa"] == pytest.approx(-TUBE.drop, rel=0.15)


def test_bad_input_is_named() -> None:
    samples, openings = inputs()
    with pytest.raises(InputError, match="no opening touches the lumen"):
        pressure(samples, LabelMap(np.zeros_like(openings.data), openings.affine))
    with pytest.raises(InputError, match="holds 1 component a voxel; expected the 3"):
        pressure(FieldSamples(samples.values[..., :1], samples.mask, samples.affine, unit="m/s"), openings)
    sheared = samples.affine.copy()
    sheared[0, 1] = 0.2
    with pytest.raises(InputError, match="not at right angles"):
        pressure(FieldSamples(samples.values, samples.mask, sheared, unit="m/s"), openings)
    far = openings.affine.copy()
    far[:3, 3] += 500
    with pytest.raises(InputError, match="lies nowhere on the grid"):
        pressure(samples, LabelMap(openings.data, far))
    empty = np.zeros_like(samples.mask)
    with pytest.raises(InputError, match="mask is empty"):
        pressure(FieldSamples(samples.values[:, :, :0], empty, samples.affine, unit="m/s"), openings)


def test_same_input_same_bytes(tmp_path: Path) -> None:
    files = []
    for turn in ("first", "second"):
        result, _ = run(*inputs(np.linspace(0.9, 1.1, 16)))
        result.pressure_samples.save(tmp_path / f"{turn}.safetensors")
        files.append((tmp_path / f"{turn}.safetensors").read_bytes())
    assert files[0] == files[1]
