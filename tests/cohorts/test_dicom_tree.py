"""DICOM trees: a row a series whatever folders are called, nothing of the person, names that stay when it grows."""

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cohorts.trees import cohort, touch, unmatched
from dicom_files import PERSON, write_enhanced, write_radiograph, write_series

DATA = np.arange(24).reshape(4, 3, 2)
EYE = np.eye(4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def series(folder: Path, patient: str, study: str, number: int, **more: Any) -> None:
    uid = f"1.2.{patient}.{study}.{number}"
    write_series(folder, DATA, EYE, patient=patient, study=f"1.9.{study}", series=uid, series_number=str(number),
                 prefix=f"{number}-", **more)  # fmt: skip


def test_rows_sessions_and_sites(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series(root / "x", "7", "2", 3, date="20200101", kernel="B60f")
    series(root / "y", "7", "1", 1, date="20210101")
    series(root / "y", "7", "1", 2, date="20210101")
    series(root / "z", "8", "5", 1, institution="Other")
    rows = cohort(root)
    by_image = {(row["image"], row.get("series", "")): row for row in rows}
    assert len(by_image) == 4
    first = next(row for row in rows if row["image"] == "data/x")
    crowded = [row for row in rows if row["image"] == "data/y"]
    other = next(row for row in rows if row["image"] == "data/z")
    assert (first["session"], first["kernel"], first["slices"], first["modality"]) == ("01", "B60f", "2", "CT")
    assert [row["session"] for row in crowded] == ["02", "02"]
    assert len({row["series"] for row in crowded}) == 2
    assert "series" not in first
    assert {row["patient"] for row in (first, *crowded)} == {first["patient"]} != {other["patient"]}
    assert first["site"] == crowded[0]["site"] != other["site"]
    assert first["subject"] == f"{first['patient']}-01-s3"
    assert "4 scans of 2 patients at 2 sites" in capsys.readouterr().out


def test_a_series_of_a_crowded_folder_is_converted_by_its_key(root: Path) -> None:
    pytest.importorskip("SimpleITK")
    from voxfield.artifacts import RawFile
    from voxfield.io import convert

    series(root, "7", "1", 1)
    series(root, "7", "1", 2)
    for row in cohort(root):
        image = convert(RawFile.load(root.parent / row["image"]), series=row["series"]).image
        assert image is not None
        assert image.shape == (4, 3, 2)


def test_no_identifier_is_copied_and_pseudonyms_need_the_key(root: Path) -> None:
    series(root / "a", "4711", "1", 1, date="20260102")
    (row,) = cohort(root)
    text = (root.parent / "cohort.tsv").read_text()
    assert not any(word in text for word in (*PERSON.values(), "4711", "1.2.", "2026", "Doe"))
    key = root.parent / "cohort.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    series(root / "b", "4712", "2", 1)
    again = cohort(root)
    assert row in again
    key.unlink()
    assert row not in cohort(root)
    key.write_text("12\n")
    cohort(root, code=2)


def test_what_is_no_scan_is_listed(root: Path) -> None:
    series(root / "ok", "1", "1", 1)
    series(root / "loc", "1", "1", 2, image_type="ORIGINAL\\PRIMARY\\LOCALIZER")
    series(root / "seg", "1", "1", 3, modality="SEG")
    write_series(root / "one", DATA[:, :, :1], EYE, series="1.77")
    series(root / "half1", "1", "1", 4)
    series(root / "half2", "1", "1", 4)
    cut = write_series(root / "cut", DATA, EYE, series="1.88")[0]
    cut.write_bytes(cut.read_bytes()[:-3])
    touch(root, ["readme.txt", "ok/._1-000.dcm"])
    rows = cohort(root)
    found = unmatched(root)
    assert {row["image"] for row in rows} == {"data/ok"}
    assert found["loc/2-000.dcm"] == "is a localizer"
    assert found["seg/3-000.dcm"] == "holds no scan (modality SEG)"
    assert found["one/i000.dcm"] == "is a single slice of a volume"
    assert found["half1/4-000.dcm"] == "its series is spread over several folders: half1 and half2"
    assert found["cut/i000.dcm"].startswith("is truncated: 3 bytes are missing")
    assert found["readme.txt"] == "is no DICOM file"


def test_radiographs_and_enhanced_files_are_rows_of_their_own(root: Path) -> None:
    root.mkdir()
    write_radiograph(root / "left", np.ones((3, 4), np.uint16), side="L")
    write_enhanced(root / "e.dcm", DATA, EYE)
    rows = cohort(root)
    assert {row["image"] for row in rows} == {"data/left", "data/e.dcm"}
    assert {row["slices"]: row.get("side") for row in rows} == {"1": "L", "2": None}


def test_paths_that_tell_a_name_are_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series(root / "DOE_JANE", "1", "1", 1)
    cohort(root)
    assert "the paths of 1 series hold the patient's id or name" in capsys.readouterr().out
