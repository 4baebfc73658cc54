"""Fields at points and their samples: round trips, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest

from voxfield.artifacts import PointField, PointSamples
from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.records import hash_file

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("components", [1, 3])
def test_samples_come_back_bit_for_bit(components: int, tmp_path: Path) -> None:
    points, values = RNG.standard_normal((7, 3)), RNG.standard_normal((16, 7, components)).astype(np.float32)
    samples = PointSamples(points, values, unit="m/s")
    samples.check(Findings())
    samples.save(tmp_path / "a.safetensors")
    back = PointSamples.load(tmp_path / "a.safetensors")
    back.check(Findings())
    np.testing.assert_array_equal(back.points, points)
    np.testing.assert_array_equal(back.values, values)
    assert (len(back), back.unit) == (16, "m/s")
    back.save(tmp_path / "b.safetensors")
    assert hash_file(tmp_path / "a.safetensors") == hash_file(tmp_path / "b.safetensors")


def test_samples_at_other_points_are_refused() -> None:
    points = np.zeros((7, 3))
    with pytest.raises(InputError, match=r"expected \(samples, 7, 1 or 3\) float32 like the points"):
        PointSamples(points, np.zeros((16, 6, 3)))
    with pytest.raises(InputError, match=r"expected \(samples, 7, 1 or 3\) float32 like the points"):
        PointSamples(points, np.zeros((16, 7, 2)))
    with pytest.raises(InputError, match=r"expected \(n, d\) float64"):
        PointSamples(np.zeros(7), np.zeros((16, 7, 1)))


def test_too_few_or_broken_samples_are_refused() -> None:
    points, values = np.zeros((7, 3)), np.zeros((16, 7, 3))
    with pytest.raises(InputError, match="holds 15 samples; expected at least 16"):
        PointSamples(points, values[:15]).check(Findings())
    values[3, 2, 1] = np.nan
    with pytest.raises(InputError, match="'values'"):
        PointSamples(points, values).check(Findings())


def test_a_scalar_field_has_one_component() -> None:
    points = RNG.standard_normal((7, 3))
    assert PointField(points, np.ones((7, 1)), sd=np.ones((7, 1))).vectors.shape == (7, 1)
    with pytest.raises(InputError, match=r"its vectors have shape \(7, 2\); expected \(7, 3\) like the points"):
        PointField(points, np.ones((7, 2)))
    with pytest.raises(InputError, match=r"its sd have shape \(7, 3\); expected \(7, 1\) like the vectors"):
        PointField(points, np.ones((7, 1)), sd=np.ones((7, 3)))
