"""segmentation.summarise: the table, means by hand, intervals by patients, refusals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import Cohort, LabelMap, Metrics
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.segmentation import evaluate, summarise
from voxfield.testing import StageContract


def cohort(patients: list[str]) -> Cohort:
    return Cohort({"subject": [f"s{n}" for n in range(len(patients))], "patient": patients})


def evaluations(dice: list[float | None], **more: Any) -> list[Metrics]:
    about = {"tolerance_mm": 1.0, "annotated_share": 1.0, "connectivity": "foreground 26, background 6"}
    return [Metrics({**about, "dice": value, **more}) for value in dice]


def test_numbers_have_dotted_names_and_undefined_ones_are_missing() -> None:
    rows = [
        Metrics({"tolerance_mm": 1.0, "dice": 0.9, "hd95_mm": None, "betti_error": {"tunnels": 2},
                 "generations": {"0": {"length_mm": 30.0}}}),
        Metrics({"tolerance_mm": 1.0, "dice": 0.7, "hd95_mm": 4.0, "betti_error": {"tunnels": 0},
                 "generations": {"0": {"length_mm": 10.0}, "1": {"length_mm": 5.0}}}),
    ]  # fmt: skip
    found = summarise(cohort(["a", "b"]), rows)
    assert found.table.columns == {
        "subject": ["s0", "s1"],
        "patient": ["a", "b"],
        "betti_error.tunnels": [2, 0],
        "dice": [0.9, 0.7],
        "generations.0.length_mm": [30.0, 10.0],
        "generations.1.length_mm": [None, 5.0],
        "hd95_mm": [None, 4.0],
    }
    scores = found.summary.values["scores"]
    assert scores["dice"]["value"] == pytest.approx(0.8)
    assert scores["betti_error.tunnels"]["value"] == 1
    assert scores["hd95_mm"] == {"value": 4.0, "low": None, "high": None, "scans": 1, "patients": 1}


def test_interval_of_a_mean_is_that_of_the_patients() -> None:
    """Each of 60 patients has three scans of one value: the interval is 1.96 sd / sqrt(60) wide to either side."""
    values = np.random.default_rng(0).normal(0.8, 0.1, 60)
    patients = np.repeat([f"p{n}" for n in range(60)], 3).tolist()
    score = summarise(cohort(patients), evaluations(np.repeat(values, 3).tolist())).summary.values["scores"]["dice"]
    half = 1.96 * values.std() / np.sqrt(60)
    assert score["value"] == pytest.approx(values.mean())
    assert score["low"] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert score["high"] == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert (score["scans"], score["patients"]) == (180, 60)


def test_scans_of_one_patient_have_no_interval() -> None:
    ctx = Context()
    score = summarise(cohort(["a", "a"]), evaluations([0.8, 0.9]), ctx=ctx).summary.values["scores"]["dice"]
    assert (score["low"], score["high"]) == (None, None)
    assert ctx.findings.codes() == ["few-patients"]


def test_two_patients_between_their_values() -> None:
    score = summarise(cohort(["a", "b"]), evaluations([0.5, 0.9])).summary.values["scores"]["dice"]
    assert (score["low"], score["high"]) == (0.5, 0.9)


def test_a_cohort_that_was_measured() -> None:
    masks = [np.zeros((12, 12, 12), np.uint8) for _ in range(2)]
    masks[1][2:9, 4:7, 4:7] = 1
    full, empty = (LabelMap(mask, np.eye(4)) for mask in reversed(masks))
    rows = [evaluate(*pair).metrics for pair in ((full, full), (empty, full), (full, empty), (empty, empty))]
    found = summarise(cohort(list("abcd")), rows)
    assert found.table.column("dice") == [1, 0, 0, 1]
    assert found.table.column("precision") == [1, None, 0, 1]
    assert found.summary.values["scores"]["precision"]["scans"] == 3
    assert "annotated_share" not in found.table.columns


def test_refusals() -> None:
    with pytest.raises(InputError, match="2 rows, but 1 evaluations"):
        summarise(cohort(["a", "b"]), evaluations([0.5]))
    with pytest.raises(InputError, match="tolerances of"):
        summarise(cohort(["a", "b"]), [*evaluations([0.5]), *evaluations([0.5], tolerance_mm=2.0)])
    with pytest.raises(InputError, match=r"segmentation\.evaluate"):
        summarise(cohort(["a"]), [Metrics({"auc": 0.8})])


class TestContract(StageContract):
    name = "segmentation.summarise"

    def make_inputs(self) -> Mapping[str, Any]:
        return {"cohort": cohort(["a", "b", "b"]), "evaluations": evaluations([0.8, 0.9, 0.7])}
