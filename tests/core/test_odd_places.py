"""Paths that lead nowhere, through the command line: one line that names them, exit code 2, never a traceback."""

from pathlib import Path

import numpy as np
import pytest

from voxfield.artifacts import Image
from voxfield.cli import main

LONG = "a" * 300
READ = ["segmentation.annotate", "--set", "threshold=0", "--out-annotation", "out.nii.gz", "--image"]
WRITE = ["io.convert", "--source", "scan.nii.gz", "--out-image"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([*READ, f"{LONG}.nii.gz"], LONG),
        ([*READ, "loop.nii.gz"], "loop.nii.gz"),
        ([*READ, "scan.nii.gz/x.nii.gz"], "scan.nii.gz/x.nii.gz"),
        ([*READ, "scan.nii.gz", "--settings", "loop.nii.gz"], "loop.nii.gz"),
        (["io.convert", "--source", "loop.nii.gz", "--out-image", "out.nii.gz"], "loop.nii.gz"),
        (["io.convert", "--source", LONG, "--out-image", "out.nii.gz"], LONG),
        ([*WRITE, f"{LONG}.nii.gz"], LONG),
        ([*WRITE, "loop.nii.gz/x.nii.gz"], "loop.nii.gz"),
        ([*WRITE, "scan.nii.gz/x.nii.gz"], "scan.nii.gz"),
        (["verify", LONG], LONG),
        (["check", "loop.nii.gz"], "loop.nii.gz"),
        (["check", LONG, "--as", "report"], LONG),
    ],
)
def test_odd_places(
    words: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image(np.arange(512.0).reshape(8, 8, 8), np.eye(4)).save("scan.nii.gz")
    Path("loop.nii.gz").symlink_to("loop.nii.gz")
    assert main(words) == 2
    said = capsys.readouterr()
    (line,) = [line for line in (said.out + said.err).splitlines() if line.startswith("error: ")]
    assert named in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loop.nii.gz", "scan.nii.gz"]


def test_a_name_that_is_no_text_can_be_told(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    path = tmp_path / "caf\udce9.tsv"  # as Python holds a byte that is not UTF-8
    path.write_text("a\n1\n")
    assert main(["check", str(path)]) == 0
    assert b"caf\\udce9.tsv: a sound Table" in capfdbinary.readouterr().out
