"""Evaluation on test patients: the contract, abstentions apart, and what it refuses."""

from collections.abc import Mapping
from typing import Any

import pytest

from voxfield.artifacts import Cohort, Metrics
from voxfield.errors import InputError
from voxfield.grading import evaluate
from voxfield.testing import StageContract

STATED: dict[str, Any] = {
    "coverage": 0.9,
    "coverage_of": "marginal",
    "meaning": "marginal coverage under exchangeable patients",
    "calibration_patients": 50,
    "coverage_range_5_95": [0.82, 0.96],
}
PER_GRADE: dict[str, Any] = {
    "coverage_of": "per_grade",
    "per_grade": {
        "0": {"calibration_patients": 45, "certified": True, "coverage_range_5_95": [0.82, 0.96]},
        "1": {"calibration_patients": 5, "certified": False},
    },
}


def said(p1: float, ends: list[int] | None, *, certified: bool = True, abstained: bool = False) -> Metrics:
    return Metrics(
        {**STATED, "probabilities": [1 - p1, p1], "set": ends, "certified": certified, "abstained": abstained}
    )


def case() -> tuple[list[Metrics], Cohort]:
    """Four patients: sure and right, sure and wrong, unsure and left to a person, unlike the training."""
    predictions = [
        said(0.1, [0, 0]),
        said(0.9, [1, 1]),
        said(0.6, [0, 1], abstained=True),
        said(0.6, [1, 1], certified=False, abstained=True),
    ]
    cohort = Cohort({"subject": list("abcd"), "patient": list("abcd"), "grade": [0, 0, 1, 0], "split": ["test"] * 4})
    return predictions, cohort


class TestEvaluate(StageContract):
    name = "grading.evaluate"

    def make_inputs(self) -> Mapping[str, Any]:
        predictions, cohort = case()
        return {"predictions": predictions, "cohort": cohort}

    def make_settings(self) -> Mapping[str, Any]:
        return {"bootstrap": 50}


def test_sets_abstentions_and_answers_by_hand() -> None:
    predictions, cohort = case()
    made = evaluate(predictions, cohort, bootstrap=50)
    card = made.metrics.values
    assert card["abstained"]["value"] == 0.5
    assert card["answered"]["rows"] == 2
    assert card["mean_absolute_error"]["value"] == 0.5
    assert card["answered"]["mean_absolute_error"]["value"] == 0.5
    sets = card["sets"]
    assert sets["rows"] == 3
    assert sets["withheld"] == 1
    assert sets["coverage"]["value"] == pytest.approx(2 / 3)
    assert sets["coverage_per_grade"]["0"]["value"] == 0.5
    assert sets["mean_size"]["value"] == pytest.approx(4 / 3)
    assert sets["stated"] == 0.9
    low, high = sets["test_coverage_range_5_95"]
    assert low <= 2 / 3 <= high == 1.0
    rows = made.rows.rows()
    assert [row["certified"] for row in rows] == [1, 1, 1, 0]
    assert rows[1]["probability_1"] == 0.9


def test_ranges_of_each_grade_stand_beside_their_coverage() -> None:
    predictions, cohort = case()
    kept = {name: value for name, value in predictions[0].values.items() if name != "coverage_range_5_95"}
    each = [Metrics({**kept, **PER_GRADE}) for _ in predictions]
    sets = evaluate(each, cohort, bootstrap=50).metrics.values["sets"]
    assert "test_coverage_range_5_95" not in sets
    low, high = sets["coverage_per_grade"]["0"]["test_coverage_range_5_95"]
    assert low == pytest.approx(2 / 3)  # of three patients, one may be missed
    assert high == 1.0
    assert "test_coverage_range_5_95" not in sets["coverage_per_grade"]["1"]


def test_the_farthest_scans_come_first_and_once() -> None:
    predictions, cohort = case()  # .1, .9, .4 and .6 grades away
    found = evaluate(predictions, cohort, farthest_scans=3, bootstrap=10).farthest
    assert found.column("subject") == ["b", "d", "c"]
    assert found.column("grade") == [0, 0, 1]
    twice = Cohort({**cohort.columns, "subject": list("abbd"), "patient": list("abbd")})
    assert evaluate(predictions, twice, bootstrap=10).farthest.column("subject") == ["b", "d", "a"]


def test_everything_may_be_abstained_from() -> None:
    cohort = Cohort({"subject": ["a"], "grade": [0], "split": ["test"]})
    made = evaluate([said(0.5, None, certified=False, abstained=True)], cohort, bootstrap=10).metrics.values
    assert made["answered"] == {"rows": 0, "patients": 0}
    assert made["sets"]["rows"] == 0
    assert made["sets"]["withheld"] == 1


def test_predictions_of_other_coverages_or_stages_are_refused() -> None:
    predictions, cohort = case()
    other = Metrics({**predictions[0].values, "coverage": 0.8})
    with pytest.raises(InputError, match=r"marginal 0\.8 and marginal 0\.9"):
        evaluate([*predictions[:3], other], cohort, bootstrap=10)
    with pytest.raises(InputError, match="has no set, certified"):
        evaluate([Metrics({"probabilities": [1.0, 0.0]})] * 4, cohort, bootstrap=10)
