"""fields.evaluate_points: figures worked by hand, coverage of a known spread, refusals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import PointField
from voxfield.errors import InputError
from voxfield.fields import evaluate_points
from voxfield.testing import StageContract

POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
TRUE = np.array([[3.0, 0, 0], [0, 4, 0], [0, 0, 0], [0, 0, 12]])


class TestEvaluatePoints(StageContract):
    name = "fields.evaluate_points"

    def make_inputs(self) -> Mapping[str, Any]:
        return {
            "field": PointField(POINTS, TRUE + 0.5, sd=np.ones((4, 3)), unit="m/s"),
            "truth": PointField(POINTS, TRUE, unit="m/s"),
            "observed": PointField(POINTS[:2], TRUE[:2], unit="m/s"),
        }


def test_by_hand() -> None:
    got = TRUE + np.array([[0, 4.0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]])
    sd = np.full((4, 3), 1.0)
    found = evaluate_points(
        PointField(POINTS, got, sd=sd), PointField(POINTS, TRUE), PointField(POINTS[1:2] + 0.01, TRUE[1:2])
    ).metrics.values
    assert found["relative_l2"] == pytest.approx(np.sqrt(17) / 13)
    assert found["cosine"] == pytest.approx((3 / 5 + 1 + 1) / 3)  # the true vector of the third point is 0
    assert found["coverage_95"] == pytest.approx(11 / 12)
    assert found["mean_sd"] == pytest.approx(np.sqrt(3))
    assert found["observed"] == {
        "relative_l2": 0.0, "cosine": 1.0, "coverage_95": 1.0, "mean_sd": pytest.approx(np.sqrt(3)), "points": 1,
    }  # fmt: skip
    assert found["unobserved"]["points"] == 3


def test_scalars_have_no_cosine() -> None:
    field = PointField(POINTS, TRUE[:, :1], sd=np.ones((4, 1)))
    found = evaluate_points(field, field).metrics.values
    assert found["cosine"] is None
    assert found["relative_l2"] == 0


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        (PointField(POINTS, TRUE, unit="cm/s"), "unit is 'cm/s'"),
        (PointField(POINTS[:3], TRUE[:3], unit="m/s"), r"holds \(3, 3\) values"),
        (PointField(POINTS[::-1], TRUE, unit="m/s"), "same order"),
    ],
)
def test_refusals(truth: PointField, words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate_points(PointField(POINTS, TRUE, sd=np.ones((4, 3)), unit="m/s"), truth)
