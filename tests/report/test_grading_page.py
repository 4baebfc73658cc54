"""report.grading: the page and the card say what the predictions say, and what they can not say."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from html_check import Page
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Opened

from voxfield.artifacts import Cohort, Image, Metrics, Picture
from voxfield.errors import InputError, SettingsError
from voxfield.report import grading
from voxfield.report._graded import Graded, picture
from voxfield.report._graded_charts import binned
from voxfield.testing import StageContract

TRUTH = [0, 0, 1, 1, 2, 2]
GRADE = [0, 1, 1, 1, 0, 2]


def cohort() -> Cohort:
    count = len(TRUTH)
    return Cohort({
        "subject": [f"s{n}" for n in range(count)], "patient": [f"p{n // 2}" for n in range(count)], "grade": TRUTH,
        "split": ["test"] * count,
    })  # fmt: skip


def prediction(grade: int, sure: float = 0.8, **more: Any) -> Metrics:
    p = np.full(3, (1 - sure) / 2)
    p[grade] = sure
    told = {"coverage": 0.9, "calibration_patients": 20, "coverage_range_5_95": [0.81, 1.0], "certified": True}
    return Metrics({"probabilities": p, "grade": grade, "set": [grade, min(grade + 1, 2)], **told, **more})


def scores() -> Metrics:
    entry = {"value": 0.667, "low": 0.5, "high": 0.8}
    return Metrics({
        "rows": 6, "patients": 3, "balanced_accuracy": entry, "quadratic_kappa": entry, "auc_grade_2_or_more": entry,
        "sets": {"coverage": entry, "mean_size": {"value": 1.8, "low": 1.6, "high": 2.0},
                 "coverage_per_grade": {"0": entry}, "meaning": "marginal coverage under exchangeable patients",
                 "test_coverage_range_5_95": [0.72, 1.0]},
        "abstained": entry,
    })  # fmt: skip


def trained(labels: int, accuracy: float) -> Metrics:
    entry = {"value": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.1}
    return Metrics({
        "algorithm": "supervised", "rows": {"train": {"labelled": labels, "labels_per_grade": [labels // 3] * 3}},
        "val": {"ranked_probability_score": entry}, "test": {"balanced_accuracy": entry},
    })  # fmt: skip


def images(edge: int = 8) -> list[Image]:
    return [Image(np.full((edge, 1, edge), n, np.int16) + np.arange(edge, dtype=np.int16), np.eye(4)) for n in range(6)]


class TestGradingPage(StageContract):
    name = "report.grading"

    def make_inputs(self) -> Mapping[str, Any]:
        part = {"rows": 6, "scans": 6, "patients": 3, "labels_per_grade": [2, 2, 2]}
        return {
            "cohort": cohort(), "predictions": [prediction(g) for g in GRADE], "scores": scores(),
            "splits": Metrics({"parts": {"test": part}, "excluded": ["s9"]}), "trainings": [trained(30, 0.5)],
            "images": images(), "explained": Cohort({"subject": ["s4"], "grade": [2]}),
            "overlays": [Picture(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))],
        }  # fmt: skip


def page(**more: Any) -> tuple[Page, dict[str, Any]]:
    made = grading(cohort(), [prediction(g) for g in GRADE], scores(), **more)
    return Page(made.page.pages["index.html"].decode()), made.card.values


def test_the_confusion_matrix_counts_cases() -> None:
    found, _ = page()
    assert not found.faults
    rows = "0 1 50 % 1 50 % 0 0 % 2 1 0 0 % 2 100 % 0 0 % 2 2 1 50 % 0 0 % 1 50 % 2"
    assert rows in found.text.replace("\u202f", " ")


def test_what_can_not_be_concluded_is_said() -> None:
    found, card = page(images=images(64))
    assert "There is no external cohort" in found.text
    assert "Images of 64 pixels" in found.text
    assert len(card["limits"]) == 3
    finer, _ = page(images=images(200))
    assert "Images of" not in finer.text


def test_test_patients_from_elsewhere_are_told() -> None:
    found, card = page(external="the second hospital")
    assert "The test patients come from elsewhere than those who trained: the second hospital." in found.text
    assert "There is no external cohort" not in found.text
    assert len(card["limits"]) == 1


def test_sets_are_described_with_the_range_of_their_coverage() -> None:
    found, _ = page()
    assert "One draw of 20 calibration patients gives 0.81 to 1.00 in the long run (5 to 95 %)" in found.text
    assert "gives 0.72 to 1.00 on as many test patients as here" in found.text
    assert "leaves 66.7 % of the cases (0.500 to 0.800) to a person" in found.text.replace("\u202f", " ")
    assert "Withheld for no case" in found.text
    assert "all 66.7 % 0.500 to 0.800 0.72 to 1.00 grade 0 66.7 % 0.500 to 0.800 –" in found.text.replace("\u202f", " ")
    certified = scores().values
    certified["sets"]["coverage_per_grade"]["0"] = {
        "value": 1.0,
        "low": 0.9,
        "high": 1.0,
        "test_coverage_range_5_95": [0.75, 1.0],
    }
    made = Page(grading(cohort(), [prediction(g) for g in GRADE], Metrics(certified)).page.pages["index.html"].decode())
    assert "grade 0 100.0 % 0.900 to 1.000 0.75 to 1.00" in made.text.replace("\u202f", " ")
    unsure = [prediction(g, certified=n > 1, unlike_training=n == 0) for n, g in enumerate(GRADE)]
    made = Page(grading(cohort(), unsure, scores()).page.pages["index.html"].decode())
    assert "Withheld for 2 of 6 cases, 1 of which are unlike" in made.text


def test_overlays_stand_beside_their_cases() -> None:
    red = Picture(np.full((4, 4, 3), (255, 0, 0), np.uint8))
    explained = Cohort({"subject": ["s4"], "grade": [2]})
    made = grading(cohort(), [prediction(g) for g in GRADE], scores(), explained=explained, overlays=[red])
    html = made.page.pages["index.html"].decode()
    assert not Page(html).faults
    assert html.count('src="assets/explained-s4.png"') == 2  # among those of grade 2, and as the farthest
    with Opened.open(io.BytesIO(made.page.pages["assets/explained-s4.png"])) as picture:
        assert np.array_equal(np.asarray(picture.convert("RGB")), red.pixels)
    assert "red raised the expected grade and blue lowered it" in html
    assert "red raised" not in page()[0].text
    with pytest.raises(InputError, match="0 overlays for 1 explained rows"):
        grading(cohort(), [prediction(g) for g in GRADE], scores(), explained=explained)


def test_a_learning_curve_is_drawn_where_labels_differ() -> None:
    alone, _ = page(trainings=[trained(30, 0.5), trained(30, 0.6)])
    assert "Learning curve" not in alone.text
    curve, card = page(trainings=[trained(30, 0.5), trained(300, 0.6)], methods=("few", "many"))
    assert "Learning curve" in curve.text
    assert [run["rows"]["train"]["labelled"] for run in card["trainings"]] == [30, 300]


def test_differences_between_methods_stand_on_the_page() -> None:
    told = {"value": 0.041, "low": -0.012, "high": 0.092, "p": 0.118, "p_seeds": None}
    comparison = Metrics({"score": "quadratic_kappa", "differences": {"few - many": told}})
    found, card = page(trainings=[trained(30, 0.5)] * 2, methods=("few", "many"), comparison=comparison)
    assert "few - many 0.041 −0.012 to 0.092 0.118 –" in found.text
    assert card["comparison"]["score"] == "quadratic_kappa"


def test_the_worst_cases_are_those_farthest_from_the_reader() -> None:
    cases = Graded.of(cohort(), [prediction(g) for g in GRADE])
    assert cases.worst()[0] == 4  # read 2, graded 0 with a probability of .8: 2 * .8 + .1 grades away
    assert cases.distance[4] == pytest.approx(1.7)
    assert cases.examples()[0] == [0, 1]
    assert cases.shown(4)["missed"]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_bins_hold_every_case_once_and_their_shares_lie_in_their_intervals(cases: list[tuple[float, bool]]) -> None:
    stated, came = np.array([p for p, _ in cases]), np.array([c for _, c in cases])
    bins = binned(stated, came, [f"p{n}" for n in range(len(cases))])
    assert sum(b.cases for b in bins) == len(cases)
    assert sum(b.cases * b.share for b in bins) == pytest.approx(came.sum())
    assert [b.stated for b in bins] == sorted(b.stated for b in bins)


def test_a_plane_is_seen_as_radiographs_are() -> None:
    """The patient's right on the left of the picture, the head up, whichever way the voxels run."""
    data = np.arange(12, dtype=np.int16).reshape(4, 1, 3)  # (x, 1, z), towards right and head
    seen = picture(Image(data, np.eye(4)))
    assert seen[0, 0] == seen.max()  # highest x (right), highest z (head)
    turned = picture(Image(data[::-1, :, ::-1], np.diag([-1, 1, -1, 1])))
    assert np.array_equal(seen, turned)


def test_refusals() -> None:
    predictions = [prediction(g) for g in GRADE]
    with pytest.raises(InputError, match="5 predictions for 6 rows"):
        grading(cohort(), predictions[:5], scores())
    with pytest.raises(InputError, match="2 images for 6 rows"):
        grading(cohort(), predictions, scores(), images=images()[:2])
    with pytest.raises(InputError, match="holds no probabilities"):
        grading(cohort(), [*predictions[:5], Metrics({})], scores())
    with pytest.raises(InputError, match="the cohort's reach 4"):
        grading(Cohort({**cohort().columns, "grade": [0, 0, 1, 1, 2, 4]}), predictions, scores())
    with pytest.raises(InputError, match="row 6 has no grade"):
        grading(Cohort({**cohort().columns, "grade": [0, 0, 1, 1, 2, None]}), predictions, scores())
    with pytest.raises(SettingsError, match="2 methods for 1 trainings"):
        grading(cohort(), predictions, scores(), trainings=[trained(30, 0.5)], methods=("a", "b"))
