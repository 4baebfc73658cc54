"""A full disk: nothing is left half-written, nothing that was there is lost, and a run goes on when there is room.

RLIMIT_FSIZE stands in for a full disk where none can be mounted; a small tmpfs is one.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from runs import command, make_cohort, voxfield

from voxfield.artifacts import Image
from voxfield.records import hash_file, record_path
from voxfield.runs.verify import verify_run

INTACT = Path(__file__).parent / "intact"


def annotate(image: Path, out: Path) -> list[str]:
    words = ["segmentation.annotate", "--image", str(image), "--set", "threshold=0.5", "--out-annotation", str(out)]
    return [sys.executable, "-m", "voxfield", *words]


def limited(words: list[str], size: int) -> subprocess.CompletedProcess[str]:
    """A command whose files may not grow beyond `size` bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=limit)


def volume(path: Path, seed: int = 0) -> Path:
    Image(np.random.default_rng(seed).random((24, 24, 24)).astype("f4"), np.eye(4)).save(path)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A volume and what a stage made of it, when there was room."""
    folder = tmp_path_factory.mktemp("finished")
    image, out = volume(folder / "image.nii.gz"), folder / "annotation.nii.gz"
    assert subprocess.run(annotate(image, out), check=False, capture_output=True).returncode == 0
    return image, out


@pytest.mark.parametrize("strikes", ["at once", "in the output", "in the record"])
def test_no_half_of_a_file_has_its_name(finished: tuple[Path, Path], tmp_path: Path, strikes: str) -> None:
    image, made = finished
    output, record = (path.stat().st_size for path in (made, record_path(made)))
    size = {"at once": 0, "in the output": output // 2, "in the record": record - 10}[strikes]
    assert (size > output) == (strikes == "in the record")
    out = tmp_path / "out" / "annotation.nii.gz"
    ended = limited(annotate(image, out), size)
    assert ended.returncode == 3, ended.stderr
    assert "File too large; nothing was left half-written" in ended.stderr
    assert not list(out.parent.iterdir())


def test_what_was_there_stays(finished: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = finished
    before = {path: hash_file(path) for path in (out, record_path(out))}
    other = volume(tmp_path / "other.nii.gz", seed=1)
    assert limited(annotate(other, out), record_path(out).stat().st_size - 10).returncode == 3
    assert {path: hash_file(path) for path in before} == before


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 800 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=800k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root mounts a file system, where the machine allows it")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
def test_a_run_on_a_full_disk_goes_on_when_there_is_room(tmp_path: Path, disk: Path) -> None:
    table = make_cohort(tmp_path / "scans", "abcd", side=24)
    whole = tmp_path / "whole"
    assert voxfield(INTACT, table, whole).returncode == 0
    run = disk / "run"
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * 700_000)
    codes = []
    for size in (700_000, 680_000, 650_000, 620_000):
        os.truncate(ballast, size)
        ended = subprocess.run(command(INTACT, table, run), capture_output=True, text=True, check=False)
        codes.append(ended.returncode)
        assert ended.returncode in {0, 3, 4}, ended.stderr
    ballast.unlink()
    ended = voxfield(INTACT, table, run)
    assert ended.returncode == 0, ended.stderr
    assert codes[0] != 0, "the disk was full"
    for file in [*whole.glob("sub-*/*.nii.gz"), whole / "cohort.tsv"]:
        assert hash_file(file) == hash_file(run / file.relative_to(whole))
    assert not list(run.rglob(".vf*"))
    assert verify_run(run) == 0
