"""fields.evaluate: errors and coverage by hand."""

import numpy as np
import pytest

from voxfield.artifacts import LabelMap, VectorImage
from voxfield.errors import InputError
from voxfield.fields import evaluate
from voxfield.testing import StageContract

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def field(value: float, shape: tuple[int, int, int] = (6, 6, 6), affine: object = AFFINE) -> VectorImage:
    return VectorImage(np.full((*shape, 1, 3), value), affine, unit="m/s")


class TestEvaluate(StageContract):
    name = "fields.evaluate"

    def make_inputs(self) -> dict[str, object]:
        region = np.zeros((6, 6, 6), "u1")
        region[1:5, 1:5, 1:5] = 1
        return {
            "mean": field(1.0),
            "sd": field(0.2),
            "truth": field(1.1),
            "region": LabelMap(region, AFFINE),
            "openings": LabelMap(np.where(region, 0, 1).astype("u1"), AFFINE),
        }


def test_error_and_coverage_by_hand() -> None:
    values = evaluate(field(1.1), field(0.2), field(1.0)).metrics.values
    assert values["relative_l2"] == pytest.approx(0.1, abs=1e-6)
    assert values["coverage_95"] == 1
    assert evaluate(field(1.1), field(0.05), field(1.0)).metrics.values["coverage_95"] == 0


def test_caps_are_left_out_and_counted() -> None:
    caps = np.zeros((6, 6, 6), "u1")
    caps[2:4, 2, 2] = 3
    values = evaluate(field(1.0), field(0.1), field(1.0), openings=LabelMap(caps, AFFINE)).metrics.values
    assert (values["voxels"], values["voxels_beyond_openings"]) == (214, 2)


def test_truth_may_be_a_part_of_the_grid_voxel_on_voxel() -> None:
    part = AFFINE.copy()
    part[:3, 3] = 2.0, 4.0, 0.0
    assert evaluate(field(1.0), field(0.1), field(1.0, (3, 3, 3), part)).metrics.values["voxels"] == 27
    part[0, 3] = 1.0
    with pytest.raises(InputError, match="do not fall on"):
        evaluate(field(1.0), field(0.1), field(1.0, (3, 3, 3), part))


def test_everything_lies_where_the_truth_lies() -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 2.0
    one = np.ones((6, 6, 6), "u1")
    with pytest.raises(InputError, match="disagree by up to 1 voxels"):
        evaluate(field(1.0), field(0.1), field(1.0), LabelMap(one, moved))
    with pytest.raises(InputError, match="has the shape of the truth"):
        evaluate(field(1.0), field(0.1), field(1.0), openings=LabelMap(one, moved))
    with pytest.raises(InputError, match="has the shape of the mean"):
        evaluate(field(1.0), field(0.1, affine=moved), field(1.0))


def test_units_must_agree() -> None:
    other = VectorImage(np.ones((6, 6, 6, 1, 3)), AFFINE, unit="cm/s")
    with pytest.raises(InputError, match="cm/s"):
        evaluate(field(1.0), field(0.1), other)
