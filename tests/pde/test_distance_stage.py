"""The stage pde.distance: units, what can not be reached, what the methods say of each other, bad input."""

from pathlib import Path

import numpy as np
import pytest

from pde.fronts import AFFINE, hook, speed
from voxfield.artifacts import Image, LabelMap, PartialImage
from voxfield.errors import InputError, SettingsError
from voxfield.findings import Findings
from voxfield.pde import distance
from voxfield.stage import Context


def test_distance_in_the_first_arm_is_that_along_it() -> None:
    mask, sources = hook()
    ctx = Context()
    found = distance(mask, sources, source_labels=("inlet",), ctx=ctx)
    np.testing.assert_allclose(found.distance.data[:6, 1, 1], np.arange(6) * 1.0, atol=1e-6)  # 1 mm along x
    np.testing.assert_allclose(found.distance.data[0, :4, 2], 1.5, atol=1e-6)  # 1.5 mm along z
    assert found.distance.unit == "mm"
    assert np.isnan(found.distance.data[0, 9, 2])
    assert np.isnan(found.distance.data[mask.data == 0]).all()
    assert set(np.unique(found.nearest.data)) == {0, 3}
    assert "unreached" in ctx.findings.codes()
    assert found.metrics.values["unreached_voxels"] == 1
    assert found.metrics.values["source_voxels"] == {"3": 4}


def test_the_nearest_source_is_named_and_one_outside_is_told() -> None:
    mask, sources = hook()
    ctx = Context()
    found = distance(mask, sources, method="eikonal", ctx=ctx)
    assert found.nearest.data[1, 1, 1] == 3
    assert found.nearest.data[8, 8, 2] == 5
    assert found.nearest.labels == {3: "inlet", 5: "outlet"}
    assert found.difference is None
    assert "source-outside" in ctx.findings.codes()


def test_speed_in_any_unit_gives_seconds() -> None:
    mask, sources = hook()
    slow = distance(mask, sources, speed(), method="eikonal")
    fast = distance(mask, sources, speed("cm/s"), method="eikonal")
    inside = np.isfinite(slow.distance.data)
    np.testing.assert_allclose(slow.distance.data[inside], 10 * fast.distance.data[inside], rtol=1e-5)
    np.testing.assert_allclose(slow.distance.data[:4, 1, 1], np.arange(4) / 2, atol=1e-6)
    assert slow.distance.unit == "s"


def test_both_methods_stand_beside_each_other() -> None:
    mask, sources = hook()
    both = distance(mask, sources)
    heat = distance(mask, sources, method="heat")
    np.testing.assert_allclose(both.difference.data, heat.distance.data - both.distance.data, atol=1e-5)
    assert heat.nearest is None
    assert both.metrics.values["difference"]["max"] < 1.6
    assert both.metrics.values["difference"]["share_apart"] == 0


def test_gaps_travel_through_the_file(tmp_path: Path) -> None:
    mask, sources = hook()
    found = distance(mask, sources, method="eikonal").distance
    found.save(tmp_path / "distance.nii.gz")
    again = PartialImage.load(tmp_path / "distance.nii.gz")
    again.check(Findings())
    np.testing.assert_array_equal(again.data, found.data)
    with pytest.raises(InputError, match="NaN"):
        Image.load(tmp_path / "distance.nii.gz").check(Findings())


def test_bad_input_is_refused_with_its_cause() -> None:
    mask, sources = hook()
    nothing = LabelMap(np.zeros((12, 11, 4), dtype=np.uint8), AFFINE)
    with pytest.raises(InputError, match="empty"):
        distance(nothing, sources)
    with pytest.raises(InputError, match="no voxel carries a source label"):
        distance(mask, nothing)
    outside = LabelMap((mask.data == 0).astype(np.uint8), AFFINE)
    with pytest.raises(InputError, match="lie outside the mask"):
        distance(mask, outside)
    with pytest.raises(SettingsError, match="'exit' is no label of the sources; they hold 3 inlet, 5 outlet"):
        distance(mask, sources, source_labels=("exit",))
    with pytest.raises(InputError, match="states no unit; expected one of mm/s"):
        distance(mask, sources, speed(None))
    still = Image(np.zeros((12, 11, 4), dtype=np.float32), AFFINE, unit="mm/s")
    with pytest.raises(InputError, match="not positive and finite at"):
        distance(mask, sources, still)
    sheared = AFFINE.copy()
    sheared[0, 0] = 0.2
    with pytest.raises(InputError, match="right angles"):
        distance(LabelMap(mask.data, sheared), LabelMap(sources.data, sheared))
    with pytest.raises(InputError, match="the mask"):
        distance(mask, LabelMap(sources.data[:-1], AFFINE))
