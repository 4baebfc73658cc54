"""The cohort page: every subject, every failure, the way there and back."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from html_check import Page

from voxfield.artifacts import Metrics, Report
from voxfield.errors import InputError
from voxfield.report import build

FAILURE = ["07", "fields.reconstruct", "every vector is zero", "logs/sub-07/fields.reconstruct.log"]


def altered(page: Report, name: str, **facts: Any) -> Report:
    """The same page for another subject."""
    content = json.loads(page.pages["page.json"])
    content |= {"subject": name, "facts": {**content["facts"], **facts}}
    return Report({**page.pages, "page.json": json.dumps(content).encode()})


@pytest.fixture(scope="module")
def cohort(page: Report) -> list[Report]:
    return [altered(page, f"{n:02}", dice=0.8 + 0.02 * n, true_drop_pa=100.0 + 20 * n) for n in range(1, 6)]


@pytest.fixture(scope="module")
def report(cohort: list[Report]) -> Report:
    models = [Metrics({"balanced_accuracy": {"value": 0.71, "low": 0.64, "high": 0.78}, "confusion": [[1, 2], [3, 4]]})]
    return build(cohort, models, title="Tubes", claim="made up", failures=[FAILURE], run_folder="..").report


def test_index_is_well_formed_and_tells_of_everyone(report: Report) -> None:
    text = report.pages["index.html"].decode()
    parsed = Page(text)
    assert parsed.faults == []
    assert "http" not in text
    for words in ("Tubes", "made up", "01", "05", "every vector is zero", "1 failed", "0.710 (0.640 to 0.780)",
                  "marginal coverage under exchangeable patients", "bridge", "reynolds"):  # fmt: skip
        assert words in parsed.text, words
    assert parsed.count("circle") == 5 * 5, "four strips and a scatter of five subjects"


def test_masks_are_not_judged_on_scans_that_trained(cohort: list[Report]) -> None:
    page = build(cohort, training=("01", "02", "03")).report.pages["index.html"].decode()
    assert "03 (trained on)" in page
    assert "median, not trained on; 0.880 to 0.900" in Page(page).text
    everyone = build(cohort, training=tuple(f"{n:02}" for n in range(1, 6))).report.pages["index.html"].decode()
    assert "median; 0.820 to 0.900" in Page(everyone).text


def test_every_link_leads_to_a_page_or_into_the_run(report: Report) -> None:
    for place, content in report.pages.items():
        if not place.endswith(".html"):
            continue
        folder = PurePosixPath("report", place).parent
        for value in Page(content.decode()).values("href", "src"):
            target = _resolve(folder, value.partition("#")[0]) if not value.startswith("#") else None
            if target is None or target.parts[0] in {"sub-01", "logs"}:
                continue
            assert target.relative_to("report").as_posix() in report.pages, (place, value)


def _resolve(folder: PurePosixPath, value: str) -> PurePosixPath:
    parts = list(folder.parts)
    for part in PurePosixPath(value).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return PurePosixPath(*parts)


def test_copied_page_leads_back_and_to_its_neighbours(report: Report) -> None:
    links = Page(report.pages["assets/subjects/02/index.html"].decode()).values("href")
    assert {"../../../index.html", "../01/index.html", "../03/index.html"} <= set(links)
    assert "../../../../sub-01/lumen.nii.gz" in links
    ends = Page(report.pages["assets/subjects/05/index.html"].decode()).values("href")
    assert "../04/index.html" in ends
    assert not any("/06/" in link for link in ends)


def test_without_run_folder_nothing_points_outside(cohort: list[Report]) -> None:
    report = build(cohort).report
    links = Page(report.pages["assets/subjects/02/index.html"].decode()).values("href")
    assert not any("sub-01" in link for link in links)


def test_large_cohorts_are_linked_where_they_lie(page: Report) -> None:
    from voxfield.stage import Context

    ctx = Context()
    report = build([page], run_folder="..", copy_at_most=0, ctx=ctx).report
    assert set(report.pages) == {"index.html", "page.json"}
    parsed = Page(report.pages["index.html"].decode())
    assert "../sub-01/page/index.html" in parsed.values("href")
    assert "../sub-01/page/assets/thumbnail.png" in parsed.values("src")
    assert ctx.findings.codes() == ["pages-not-copied"]


def test_run_without_any_finished_subject_has_a_report() -> None:
    report = build(failures=[FAILURE, ["", "segmentation.train", "no annotation", ""]]).report
    parsed = Page(report.pages["index.html"].decode())
    assert parsed.faults == []
    assert "No subject finished" in parsed.text
    assert "no annotation" in parsed.text


def test_page_of_somebody_else_is_refused(tmp_path: Path) -> None:
    Report({"index.html": b"<p>hello</p>"}).save(tmp_path / "stranger")
    with pytest.raises(InputError, match=r"page\.json"):
        build([Report.load(tmp_path / "stranger")])
    with pytest.raises(InputError, match="lacks"):
        build([Report({"index.html": b"x", "page.json": b"{}"})])


def test_odd_and_doubled_names_get_folders_of_their_own(page: Report) -> None:
    report = build([altered(page, "../up"), altered(page, "a"), altered(page, "a")]).report
    folders = {place.split("/")[2] for place in report.pages if place.startswith("assets/subjects/")}
    assert folders == {"page-1", "page-2", "page-3"}


def test_hostile_cohort_stays_text(page: Report) -> None:
    hostile = "<script>alert(1)</script>"
    report = build([altered(page, hostile)], title=hostile, claim=hostile, failures=[[hostile] * 4]).report
    parsed = Page(report.pages["index.html"].decode())
    assert parsed.faults == []
    assert parsed.count("script") == 1


def test_data_for_programs_lists_the_subjects(report: Report) -> None:
    content = json.loads(report.pages["page.json"])
    assert [s["subject"] for s in content["subjects"]] == ["01", "02", "03", "04", "05"]
    assert content["failures"][0]["stage"] == "fields.reconstruct"
