"""Bad input through the command line: one clear line, exit code 2, and no output."""

from pathlib import Path

import numpy as np
import pytest

from voxfield.artifacts import Cohort, Image, ImageSeries, LabelMap
from voxfield.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good scan and mask, and what people hand in instead."""
    data = np.random.default_rng(0).random((12, 12, 12)).astype("f4")
    mask = (data > 0.7).astype("u1")
    Image(data, np.eye(4)).save(tmp_path / "scan.nii.gz")
    ImageSeries(np.stack([data, data], -1), np.eye(4)).save(tmp_path / "series.nii.gz")
    LabelMap(mask, np.eye(4)).save(tmp_path / "mask.nii.gz")
    LabelMap(mask, np.diag([1, 1, 1.1, 1])).save(tmp_path / "elsewhere.nii.gz")
    LabelMap(np.zeros_like(mask), np.eye(4)).save(tmp_path / "empty.nii.gz")
    whole = (tmp_path / "scan.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x10
    (tmp_path / "damaged.nii.gz").write_bytes(bytes(flipped))
    Cohort({"subject": ["a"], "annotation": ["sparse"], "unannotated": [255]}).save(tmp_path / "sparse.tsv")
    return tmp_path


EVALUATE = ["segmentation.evaluate", "--prediction", "mask.nii.gz", "--reference", "elsewhere.nii.gz"]


def annotate(scan: str, *more: str) -> list[str]:
    return ["segmentation.annotate", "--image", scan, "--set", "threshold=0.5", *more, "--out-annotation", "out.nii.gz"]


CASES = {
    "missing file": (annotate("absent.nii.gz"), "absent.nii.gz", "no such file"),
    "truncated": (annotate("cut.nii.gz"), "cut.nii.gz", ""),
    "damaged": (annotate("damaged.nii.gz"), "damaged.nii.gz", ""),
    "4D where 3D is meant": (annotate("series.nii.gz"), "series.nii.gz", "3"),
    "mask on another grid": (
        [*EVALUATE, "--out-metrics", "out.json"],
        "elsewhere.nii.gz",
        "disagree by up to 1.1 voxels",
    ),
    "unknown setting": (annotate("scan.nii.gz", "--set", "evry=3"), "'evry'", "nearest known one is 'every'"),
    "out of bounds": (annotate("scan.nii.gz", "--set", "every=0"), "'every'", "greater than or equal to 1"),
    "overwrites an input": (
        [*annotate("scan.nii.gz")[:-1], "scan.nii.gz"],
        "scan.nii.gz",
        "overwrite",
    ),
    "empty mask": (
        ["segmentation.centerline", "--mask", "empty.nii.gz", "--out-branches", "out.tsv"],
        "empty.nii.gz",
        "",
    ),
    "sparse without the unannotated value": (
        ["segmentation.train", "--cohort", "sparse.tsv", "--images", "scan.nii.gz", "--masks", "mask.nii.gz",
         "--out-model", "out.safetensors"],
        "mask.nii.gz",
        "background",
    ),
    "no output named": (["segmentation.annotate", "--image", "scan.nii.gz"], "--out-annotation", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_line_exit_2_no_output(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    words, where, cause = CASES[name]
    assert main(words) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("info:", "warning:"))]
    assert len(said) == 1, said
    assert said[0].startswith("error: ")
    assert where in said[0]
    assert cause in said[0]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_empty_mask_is_a_finding_of_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder / "empty.nii.gz"), "--as", "LabelMap"]) == 0
    assert "empty" in capsys.readouterr().out
