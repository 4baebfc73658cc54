"""The stage pde.evolve: outputs, walls, findings, bad input."""

import numpy as np
import pytest

from pde.fronts import AFFINE, seed
from voxfield.artifacts import Image, LabelMap
from voxfield.errors import InputError, SettingsError
from voxfield.pde import evolve
from voxfield.stage import Context

GROWTH = {"diffusivity_mm2_per_day": {"white": 0.2, "grey": 0.05}, "proliferation_per_day": 0.05, "tolerance": 0.01}


def test_growth_stays_in_its_tissue_and_is_told_in_a_table() -> None:
    initial, tissue = seed()
    ctx = Context()
    found = evolve(initial, tissue, times_day=(0, 20, 60), **GROWTH, ctx=ctx)
    density = found.density.data
    assert density.shape == (10, 9, 6, 3)
    np.testing.assert_array_equal(density[..., 0], initial.data)
    assert (density[tissue.data == 3] == 0).all()
    rows = found.course.rows()
    voxel = 0.8 * 1.0 * 1.5
    for row, frame in zip(rows, np.moveaxis(density, 3, 0), strict=True):
        assert row["mass"] == pytest.approx(frame.sum() * voxel, rel=1e-5)
        assert row["volume_mm3"] == pytest.approx((frame > 0.5).sum() * voxel)
        assert abs(row["imbalance"]) < 1e-6
        assert 0 <= row["lowest"] <= row["highest"] <= 1
    assert rows[0]["mass"] < rows[1]["mass"] < rows[2]["mass"]
    assert found.metrics.values["error_estimate"] < 0.01
    assert {"walls", "front-unresolved"} <= set(ctx.findings.codes())


def test_diffusion_alone_keeps_mass_and_unit_of_any_values() -> None:
    _, tissue = seed()
    warm = Image(np.where(tissue.data == 1, 40.0, 37.0).astype(np.float32), AFFINE, unit="degC")
    found = evolve(warm, tissue, times_day=(50,), diffusivity_mm2_per_day=1.0, threshold=38)
    assert found.density.unit == "degC"
    assert found.density.data.shape == (10, 9, 6)
    (row,) = found.course.rows()
    assert row["mass"] == pytest.approx(found.metrics.values["initial_mass"], rel=1e-9)
    assert 37 < row["lowest"] < row["highest"] < 40


def test_bad_input_is_refused_with_its_cause() -> None:
    initial, tissue = seed()
    days = {"times_day": (10.0,)}
    with pytest.raises(SettingsError, match="times_day is empty"):
        evolve(initial, tissue, **GROWTH)
    with pytest.raises(SettingsError, match="has 5 after 10; expected increasing days"):
        evolve(initial, tissue, times_day=(10, 5), **GROWTH)
    with pytest.raises(SettingsError, match="1 white, 2 grey, 3 fluid"):
        evolve(initial, tissue, **days)
    with pytest.raises(SettingsError, match="'bone' is no label of the tissue"):
        evolve(initial, tissue, **days, diffusivity_mm2_per_day={"bone": 1.0})
    with pytest.raises(SettingsError, match="diffusivity_mm2_per_day"):
        evolve(initial, tissue, **days, diffusivity_mm2_per_day=-1.0)
    with pytest.raises(InputError, match="empty"):
        evolve(initial, LabelMap(np.zeros_like(tissue.data), AFFINE), **days, **GROWTH)
    with pytest.raises(InputError, match="0 everywhere in the tissue"):
        evolve(Image(0 * initial.data, AFFINE), tissue, **days, **GROWTH)
    with pytest.raises(InputError, match="from 0 to 2; with growth they are shares"):
        evolve(Image(2.5 * initial.data, AFFINE), tissue, **days, **GROWTH)
    with pytest.raises(InputError, match="unit 'cells/mm3'"):
        evolve(Image(initial.data, AFFINE, unit="cells/mm3"), tissue, **days, **GROWTH)
    hole = initial.data.copy()
    hole[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite at 1 voxels"):
        evolve(Image(hole, AFFINE), tissue, **days, **GROWTH)
