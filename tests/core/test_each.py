"""Rows of a table through one process."""

from pathlib import Path
from typing import Any

import pytest

from voxfield.artifacts import Image, Table
from voxfield.cli import main
from voxfield.stage import Stage


@pytest.fixture
def table(tmp_path: Path, image_file: Path) -> Path:
    good = Image.load(image_file).data
    for name in ("a", "b", "c"):
        Image(good, Image.load(image_file).affine).save(tmp_path / f"{name}.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(b"broken")
    path = tmp_path / "rows.tsv"
    Table({"subject": ["a", "b", "c"], "times": [1.0, 2.0, 3.0]}).save(path)
    return path


def words(table: Path, *more: str) -> list[str]:
    folder = table.parent
    return [
        "toys.scale", "--image", f"{folder}/{{subject}}.nii.gz", "--out-scaled", f"{folder}/out/{{subject}}.nii.gz",
        "--set", "factor={times}", "--each", str(table), "--manifest", str(folder / "done.tsv"), *more,
    ]  # fmt: skip


def test_one_bad_row_fails_alone(toy: Stage[..., Any], table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(table)) == 3
    said = capsys.readouterr().err
    assert "1 of 3 rows failed" in said
    assert "row 2" in said
    assert "b.nii.gz" in said
    done = Table.load(table.parent / "done.tsv")
    assert done.column("outcome") == ["done", "failed", "done"]
    assert Image.load(table.parent / "out" / "c.nii.gz").data.max() == 357


def test_finished_rows_are_skipped(toy: Stage[..., Any], table: Path) -> None:
    main(words(table))
    (table.parent / "b.nii.gz").write_bytes((table.parent / "a.nii.gz").read_bytes())
    assert main(words(table)) == 0
    assert Table.load(table.parent / "done.tsv").column("outcome") == ["skipped", "done", "skipped"]


def test_unknown_column_stops_before_the_first_row(
    toy: Stage[..., Any], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([w.replace("{times}", "{tims}") for w in words(table)]) == 2
    assert "the nearest known one is 'times'" in capsys.readouterr().err
    assert not (table.parent / "out").exists()
