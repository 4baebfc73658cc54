"""A subject's page: well formed, self-contained, complete, honest about what is absent, and safe."""

import io
import json
import re
from typing import Any

import numpy as np
import pytest
import tube
from html_check import Page
from PIL import Image as Picture

from voxfield.artifacts import Image, LabelMap, Metrics, Report, Table, VectorImage
from voxfield.report import subject

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=y>&amp;"


def page_of(report: Report) -> Page:
    return Page(report.pages["index.html"].decode())


def test_page_is_well_formed_and_refers_to_its_own_files_only(page: Report) -> None:
    parsed = page_of(page)
    assert parsed.faults == []
    used = {value for value in parsed.values("href", "src") if not value.startswith("#")}
    files = {value for value in used if value.startswith("../../sub-01/")}
    assert len(files) == len(tube.FILES) + len(tube.METRIC_FILES)
    assert used - files <= set(page.pages)
    assert set(page.pages) - used == {"index.html", "page.json", "assets/thumbnail.png"}
    text = page.pages["index.html"].decode()
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_links_lead_to_the_files_of_the_run(page: Report, run: Any) -> None:
    for value in page_of(page).values("href"):
        if value.startswith("../"):
            assert (run / "sub-01" / "page" / value).resolve().is_file()


def test_every_picture_is_told_in_words(page: Report) -> None:
    parsed = page_of(page)
    drawn = [attrs for tag, attrs in parsed.tags if tag == "svg"]
    assert len(drawn) > 12
    assert all(attrs.get("role") == "img" and len(attrs.get("aria-label", "")) > 20 for attrs in drawn)
    assert all(attrs.get("alt") is not None for tag, attrs in parsed.tags if tag == "img")


def test_pictures_are_not_blank_and_the_page_is_small(page: Report) -> None:
    from PIL import Image as Picture

    pictures = {name: content for name, content in page.pages.items() if name.endswith(".png")}
    assert len(pictures) > 30
    for name, content in pictures.items():
        pixels = np.asarray(Picture.open(io.BytesIO(content)))
        assert pixels.std() > 1, name
    assert sum(len(content) for content in page.pages.values()) < 3e6


def test_page_shows_all_that_is_known(page: Report) -> None:
    text = page_of(page).text
    for words in (
        "Subject 01", "made-up tubes", "Dice overlap", "48 %", "outlet right", "164 ± 14", "−1.23 ± 0.11", "94.1 %",
        "171", "truth: a noisy reader", "from 60 calibration patients", "1 bridge of 2.8 mm",
        "throat-unresolved", "segmentation.predict", "overlap", "reynolds", "0123456789abcdef",
        "marginal coverage under exchangeable patients", "Grade 2, set {1, 2}", "numpy 2.4.0", "10 mm",
    ):  # fmt: skip
        assert words in text, words
    assert page_of(page).count("tr") > 20


def test_orientation_letters_stand_at_the_sides(page: Report) -> None:
    stages = [
        attrs["class"] for tag, attrs in page_of(page).tags if tag == "span" and "letter" in attrs.get("class", "")
    ]
    assert stages.count("letter left") == stages.count("letter bottom") > 12


def test_data_for_programs_says_the_same(page: Report) -> None:
    content = json.loads(page.pages["page.json"])
    facts = content["facts"]
    assert content["subject"] == "01"
    assert (facts["grade"], facts["grade_set"], facts["grade_coverage"]) == (2, [1, 2], 0.9)
    assert facts["stenosis"] == pytest.approx(0.48)
    assert (facts["drop_pa"], facts["drop_sd_pa"], facts["drop_to"]) == (164.5, 14.2, "outlet right")
    assert 0.88 < facts["dice"] < 0.95
    assert [f["level"] for f in content["findings"]] == ["warning", "warning", "info"]
    stages = [run["stage"] for run in content["stages"]]
    assert stages[0] == "phantoms.vessel"
    assert len(set(stages)) == len(stages) == 11


def test_stenosis_has_a_standard_deviation_and_a_place(made: dict[str, Any], page: Report) -> None:
    from voxfield.report._facts import facts_of, stenosis_text
    from voxfield.report._material import Material

    text = page.pages["index.html"].decode()
    assert "48 ± 5" in text
    assert "NASCET, at (−6, 1, 14) mm" in text
    assert "occlusions or gaps" in text
    # A lower bound leads where it is larger than what can be graded.
    rows = made["stenoses"].rows()
    rows[3] |= {"at_least_percent": 55.0}
    facts = facts_of(Material(**{**made, "stenoses": Table.from_rows(rows)}))
    assert stenosis_text(facts).startswith("at least 55")
    nothing = Table.from_rows([row | {"degree_percent": None} for row in rows[:2]])
    assert facts_of(Material(**{**made, "stenoses": nothing}))["stenosis"] is None


def test_a_branch_that_tapers_is_no_stenosis(made: dict[str, Any]) -> None:
    from voxfield.report._facts import facts_of
    from voxfield.report._material import Material

    assert facts_of(Material(**{**made, "stenoses": None}))["stenosis"] is None
    shown = subject(**{**made, "stenoses": None}).page.pages["index.html"].decode()
    assert ">stenosis</th>" not in shown


def test_an_image_of_one_slice_is_shown_from_its_side_alone() -> None:
    import numpy as np

    from voxfield.artifacts import Image, LabelMap

    values = np.random.default_rng(0).random((30, 1, 40)).astype(np.float32)
    mask = LabelMap((values > 0.5).astype(np.uint8), np.eye(4))
    page = page_of(subject(Image(values, np.eye(4)), mask).page)
    assert "Coronal" in page.text
    assert "Axial" not in page.text
    assert "Sagittal" not in page.text


def test_scan_alone_makes_a_page_that_says_what_is_missing(made: dict[str, Any]) -> None:
    report = subject(made["image"]).page
    parsed = page_of(report)
    assert parsed.faults == []
    for sentence in (
        "No segmentation was given", "There is no centerline", "There is no table of branches", "No velocity was",
        "There is no pressure", "was not graded", "No truth is known", "carry no records",
    ):  # fmt: skip
        assert sentence in parsed.text, sentence
    assert all(value is None for value in json.loads(report.pages["page.json"])["facts"].values())


def test_velocity_without_unit_explains_the_absent_pressure(made: dict[str, Any]) -> None:
    velocity = VectorImage(made["velocity"].data, made["velocity"].affine)
    text = page_of(subject(made["image"], made["mask"], velocity=velocity).page).text
    assert "Pressure was refused: the unit of the velocity is unknown" in text
    assert "unit not stated" in text
    assert "No standard deviation of the velocity was given" in text


def test_what_a_stage_refused_is_told_in_its_words(made: dict[str, Any]) -> None:
    failures = [["pde.pressure", "the velocity has no unit", "logs/p.log"], ["other.stage", "broke", ""]]
    text = page_of(subject(made["image"], velocity=made["velocity"], failures=failures).page).text
    assert "pde.pressure did not finish: the velocity has no unit (log: logs/p.log)" in text
    assert "other.stage did not finish: broke" in text
    assert "No pressure was computed" not in text


def test_uncertified_set_claims_no_coverage(made: dict[str, Any]) -> None:
    values = {**made["grade"].values, "certified": False, "claim": None}
    text = page_of(subject(made["image"], grade=Metrics(values)).page).text
    assert "No coverage is claimed" in text
    assert "marginal coverage" not in text


def test_hostile_names_stay_text(made: dict[str, Any]) -> None:
    openings = made["openings"]
    hostile = LabelMap(openings.data, openings.affine, labels={**openings.labels, 2: HOSTILE})
    drops = type(made["drops"]).from_rows([{**row, "name": HOSTILE} for row in made["drops"].rows()])
    made = {**made, "openings": hostile, "drops": drops, "metrics": [Metrics({HOSTILE: HOSTILE})]}
    made["grade"] = Metrics({**made["grade"].values, "grade": HOSTILE})
    failures = [[HOSTILE, HOSTILE, HOSTILE]]
    parsed = page_of(subject(**made, subject=HOSTILE, claim=HOSTILE, run_folder=HOSTILE, failures=failures).page)
    assert parsed.faults == []
    assert parsed.count("script") == 1
    assert parsed.count("img") == 0
    assert parsed.text.count("<script>alert('x')</script>") >= 6


def test_empty_mask_and_zero_velocity_make_a_page(made: dict[str, Any]) -> None:
    empty = LabelMap(np.zeros_like(made["mask"].data), made["mask"].affine)
    still = VectorImage(np.zeros_like(made["velocity"].data), made["velocity"].affine, unit="m/s")
    text = page_of(subject(made["image"], empty, velocity=still).page).text
    assert "The segmentation is empty" in text
    assert "zero everywhere" in text


def test_series_shows_its_fastest_frame(made: dict[str, Any]) -> None:
    data = np.concatenate([factor * made["velocity"].data for factor in (0.2, 1.0, 0.5)], axis=3)
    series = VectorImage(data, made["velocity"].affine, unit="m/s")
    text = page_of(subject(made["image"], made["mask"], velocity=series).page).text
    assert "Of 3 frames, number 2 is shown" in text


@pytest.mark.parametrize(("lumen", "words"), [(300, "brightest"), (-1000, "mean")])
def test_dark_lumens_are_seen_through_by_the_mean(lumen: int, words: str) -> None:
    """An airway in CT: the brightest voxel of a line of sight would be muscle everywhere."""
    data = np.full((24, 20, 30), 40, np.int16)
    data[10:14, 8:12] = lumen
    mask = LabelMap((data == lumen).astype(np.uint8), np.eye(4))
    made = subject(Image(data, np.eye(4)), mask).page
    text = made.pages["index.html"].decode()
    assert f"Coronal, {words} along the line of sight" in text
    shown = np.asarray(Picture.open(io.BytesIO(made.pages["assets/coronal-projection.png"])))
    assert np.ptp(shown) > 100


def test_other_estimators_of_the_drop_stand_beside_it_and_only_where_there_are_some(
    page: Report, made: dict[str, Any]
) -> None:
    text = page.pages["index.html"].decode()
    assert "By estimator" in text
    row = text[text.index("Stokes problem, mmHg") :]
    assert re.search(r"0\.944\s±\s0\.058", row)
    assert "virtual work, mmHg" not in row
    rows = [{k: v for k, v in r.items() if not k.startswith(("stokes", "bernoulli"))} for r in made["drops"].rows()]
    alone = subject(**{**made, "drops": Table.from_rows(rows)}, subject="01").page
    assert "By estimator" not in alone.pages["index.html"].decode()
