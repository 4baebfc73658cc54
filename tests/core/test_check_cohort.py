"""check cohort.tsv: findings grouped over all scans, bad files named, each file read once, one scan in memory."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicom_files import write_series
from voxfield.artifacts import Cohort, Image, LabelMap, VectorImage
from voxfield.artifacts._nifti._reader import NiftiFile
from voxfield.cli import main

Said = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def scan(
    folder: Path, name: str, spacing: float = 1.0, *, seed: int = 0, shape: tuple[int, int, int] = (6, 7, 8)
) -> str:
    data = np.random.default_rng(seed).random(shape).astype("f4")
    Image(data, np.diag([1, 1, spacing, 1])).save(folder / name)
    return name


def table(folder: Path, **columns: list[Any]) -> str:
    Cohort(columns).save(folder / "cohort.tsv")
    return str(folder / "cohort.tsv")


def test_findings_are_grouped_with_the_largest_value(folder: Path, capsys: Said) -> None:
    spacings = [1, 35.5, 25, 1]
    images = [scan(folder, f"{n}.nii.gz", spacing, seed=n) for n, spacing in enumerate(spacings)]
    assert main(["check", table(folder, subject=["a", "b", "c", "d"], image=images)]) == 0
    said = capsys.readouterr().out
    assert "warning: 2 of 4 scans: anisotropic (largest 35.5): b, c (such as 1.nii.gz: spacing 1, 1, 35.5 mm" in said
    assert said.endswith("4 of 4 scans can be used\n")


def test_bad_files_are_named_and_exit_2(folder: Path, capsys: Said) -> None:
    images = [scan(folder, f"{n}.nii.gz", seed=n) for n in range(4)]
    whole = (folder / "1.nii.gz").read_bytes()
    (folder / "1.nii.gz").write_bytes(whole[:-30])
    (folder / "2.nii.gz").unlink()
    LabelMap(np.ones((6, 7, 8), "u1"), np.diag([1, 1, 2, 1])).save(folder / "m.nii.gz")
    LabelMap(np.ones((6, 7, 8), "u1"), np.eye(4)).save(folder / "n.nii.gz")
    masks = ["n.nii.gz", "n.nii.gz", "n.nii.gz", "m.nii.gz"]
    assert main(["check", table(folder, subject=["a", "b", "c", "d"], image=images, annotation=masks)]) == 2
    lines = capsys.readouterr().out.splitlines()
    faults = [line for line in lines if line.startswith("error: ")]
    assert [line.split(":")[1] for line in faults] == [" b", " c", " d"]
    assert "1.nii.gz: is truncated" in faults[0] or "1.nii.gz" in faults[0]
    assert "2.nii.gz: no such file" in faults[1]
    assert "annotation" in faults[2]
    assert "is on another grid than the image" in faults[2]
    assert lines[-1] == "1 of 4 scans can be used"


def test_declared_labels_and_grids_of_velocities(folder: Path, capsys: Said) -> None:
    name = scan(folder, "a.nii.gz")
    LabelMap(np.full((6, 7, 8), 3, "u1"), np.eye(4)).save(folder / "m.nii.gz")
    VectorImage(np.random.default_rng(0).random((4, 4, 4, 1, 3)), np.eye(4), unit="m/s").save(folder / "v.nii.gz")
    place = table(folder, subject=["a"], image=[name], annotation=["m.nii.gz"], velocity=["v.nii.gz"])
    assert main(["check", place, "--labels", "0,1"]) == 0
    said = capsys.readouterr().out
    assert "1 of 1 scans: undeclared-label in annotation" in said
    assert "1 of 1 scans: other-grid in velocity" in said


def test_a_scan_under_two_names_is_told(folder: Path, capsys: Said) -> None:
    scan(folder, "a.nii.gz")
    (folder / "b.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes())
    assert main(["check", table(folder, subject=["a", "b"], image=["a.nii.gz", "b.nii.gz"])]) == 0
    assert "2 scans are the same file, byte by byte: a, b [same-scan]" in capsys.readouterr().out


def test_each_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = NiftiFile.read
    monkeypatch.setattr(NiftiFile, "read", lambda self: (read.append(self.origin.path.name), original(self))[1])
    images = [scan(folder, f"{n}.nii.gz", seed=n) for n in (0, 1)]
    assert main(["check", table(folder, subject=["a", "b", "c"], image=[*images, images[0]])]) == 0
    assert read == ["0.nii.gz", "1.nii.gz"]


def test_memory_of_one_scan(folder: Path) -> None:
    """Ten scans of 2 MiB: the peak stays below that of three."""
    images = [scan(folder, f"{n}.nii.gz", seed=n, shape=(64, 64, 128)) for n in range(10)]
    place = table(folder, subject=[f"s{n}" for n in range(10)], image=images)
    main(["check", place])  # imports
    tracemalloc.start()
    main(["check", place])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 64 * 64 * 128 * 4 + (1 << 20)


def test_dicom_folders_by_their_series(folder: Path, capsys: Said) -> None:
    pytest.importorskip("SimpleITK")
    data = np.random.default_rng(0).integers(0, 99, (5, 6, 7))
    write_series(folder / "ok", data, np.eye(4))
    write_series(folder / "gap", data, np.eye(4), series="1.2.9", position=[f"0\\0\\{k + (k > 3)}" for k in range(7)])
    assert main(["cohort", str(folder), "--out", str(folder / "c.tsv"), "--layout", "dicom"]) == 0
    capsys.readouterr()
    assert main(["check", str(folder / "c.tsv")]) == 2
    (fault,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert "slices are missing: 2 mm from" in fault
    assert "gap" in fault
    assert main(["check", str(folder / "ok")]) == 0
    assert main(["check", str(folder / "gap")]) == 2


def test_a_table_without_files_is_a_table(folder: Path, capsys: Said) -> None:
    assert main(["check", table(folder, subject=["a"], grade=[1], annotation=["dense"])]) == 0
    assert capsys.readouterr().out.endswith("a sound Cohort\n")
