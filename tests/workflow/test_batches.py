"""Scans that share a process: who is in which batch, and runs that fail, grow, resume and lose a process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import psutil
import pytest
from runs import command, make_cohort, mtimes, voxfield

from voxfield.artifacts import Cohort, Table
from voxfield.batches import Batches
from voxfield.errors import InputError
from voxfield.failure import main as write_notes
from voxfield.records import hash_file
from voxfield.runs.failures import failures

BATCHED = Path(__file__).parent / "batched"


def plan(run: Path, subjects: str, lost: Collection[str] = ()) -> dict[str, str]:
    """Subject -> batch, as one plan after the other settles it."""
    rows = {subject: {"image": f"{subject}.nii.gz"} for subject in subjects}
    batches = Batches("annotate", rows, "{subject}.made", size=3, lost=lost, run=run)
    return {s: Path(batches.manifest(s)).name.removesuffix(".done.tsv") for s in subjects if s not in lost}


def finish(run: Path, batch: str, subjects: str) -> Path:
    """What the job of a batch leaves behind."""
    for subject in subjects:
        (run / f"{subject}.made").touch()
    manifest = run / "batches" / "annotate" / f"{batch}.done.tsv"
    Table({"subject": list(subjects), "outcome": ["done"] * len(subjects)}).save(manifest)
    return manifest


def test_nobody_comes_into_a_batch_later(tmp_path: Path) -> None:
    first = plan(tmp_path, "abcd")
    assert first == {"a": "001", "b": "001", "c": "001", "d": "002"}
    tables = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.tsv")}
    assert plan(tmp_path, "abcd") == first
    assert plan(tmp_path, "ebadc") == {**first, "e": "003"}, "neither growth nor order moves a scan"
    assert {p: p.stat().st_mtime_ns for p in tables} == tables
    assert Table.load(tmp_path / "batches/annotate/003.tsv").rows() == [{"subject": "e", "image": "e.nii.gz"}]


def test_who_fails_leaves_and_comes_back_into_a_new_batch(tmp_path: Path) -> None:
    plan(tmp_path, "abcd")
    assert plan(tmp_path, "abcd", lost={"b", "d"}) == {"a": "001", "c": "001"}
    manifest = finish(tmp_path, "001", "ac")
    assert plan(tmp_path, "abcd") == {"a": "001", "c": "001", "b": "002", "d": "002"}
    assert manifest.exists()
    with pytest.raises(InputError, match="'z' is in no batch"):
        Batches("annotate", {}, "{subject}.made", run=tmp_path).manifest("z")


def test_a_manifest_without_its_products_is_worth_nothing(tmp_path: Path) -> None:
    plan(tmp_path, "abcd")
    manifest = finish(tmp_path, "001", "ab")
    plan(tmp_path, "abcd")
    assert manifest.exists(), "its job is still at work on c"
    finish(tmp_path, "001", "abc")
    plan(tmp_path, "abcd")
    assert manifest.exists()
    (tmp_path / "b.made").unlink()
    plan(tmp_path, "abcd")
    assert not manifest.exists()


@pytest.mark.parametrize(
    ("code", "blamed"),
    [
        (3, {"b": "broken"}),  # every row was tried
        (137, {"b": "broken", "c": "killed by SIGKILL (often: out of memory)"}),  # it was working on c
        (1, {"b": "broken", **dict.fromkeys("cd", "ended with exit code 1; last words: a bug")}),  # it gave up
    ],
)
def test_notes_name_who_is_to_blame(
    code: int, blamed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Table({"subject": list("ab" if code == 3 else "abcd")}).save("rows.tsv")
    Path("done.tsv").write_text("row\tsubject\toutcome\tmessage\n1\ta\tdone\tn/a\n2\tb\tfailed\tbroken\n")
    Path("log").write_text("a bug\n")
    write_notes(["--rows", "rows.tsv", "done.tsv", "annotate", "segmentation.annotate", "log", str(code)])
    assert {note["subject"]: note["reason"] for note in failures(tmp_path)} == blamed


@pytest.mark.slow
def test_a_bad_scan_fails_alone_and_growth_touches_no_other(tmp_path: Path) -> None:
    run, scans = tmp_path / "run", tmp_path / "scans"
    table = make_cohort(scans, "abc")
    sound = (scans / "b.nii.gz").read_bytes()
    (scans / "b.nii.gz").write_bytes(b"broken")
    ended = voxfield(BATCHED, table, run)
    assert ended.returncode == 3, ended.stderr
    assert [note["subject"] for note in failures(run)] == ["b"]
    assert "b.nii.gz: is not gzip" in (run / failures(run)[0]["log"]).read_text()
    assert Cohort.load(run / "cohort.tsv").column("subject") == ["a", "c"]

    before = mtimes(run)
    (scans / "b.nii.gz").write_bytes(sound)
    ended = voxfield(BATCHED, make_cohort(scans, "abcd"), run)
    assert ended.returncode == 0, ended.stderr
    assert Cohort.load(run / "cohort.tsv").column("subject") == ["a", "b", "c", "d"]
    after = mtimes(run)
    assert {name: after[name] for name in before} == before
    assert len(after) == 8
    again = voxfield(BATCHED, table, run)
    assert "Nothing to be done" in again.stdout + again.stderr
    verify = [sys.executable, "-m", "voxfield", "verify", str(run)]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0


def wait_for(run: Path, count: int) -> list[Path]:
    """The annotations of a run as soon as there are so many."""
    deadline = time.monotonic() + 60
    while len(found := list(run.rglob("annotation.json"))) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


@pytest.mark.slow
def test_a_killed_run_keeps_the_finished_rows_of_a_batch(tmp_path: Path) -> None:
    table = make_cohort(tmp_path / "scans", "abcdef", side=96)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert voxfield(BATCHED, table, whole, "--set", "batch=6").returncode == 0
    with subprocess.Popen(
        command(BATCHED, table, killed, "--set", "batch=6"),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        finished = wait_for(killed, 2)
        os.killpg(process.pid, signal.SIGKILL)
    before = {path: path.stat().st_mtime_ns for path in finished}
    assert 2 <= len(before) < 6
    ended = voxfield(BATCHED, table, killed, "--set", "batch=6")
    assert ended.returncode == 0, ended.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before, "a finished row is not done again"
    for file in whole.rglob("*.nii.gz"):
        assert hash_file(file) == hash_file(killed / file.relative_to(whole))


@pytest.mark.slow
def test_the_scan_that_kills_its_process_fails_alone(tmp_path: Path) -> None:
    table = make_cohort(tmp_path / "scans", "abcdef", side=96)
    run = tmp_path / "run"
    with subprocess.Popen(
        command(BATCHED, table, run, "--set", "batch=6"), stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(run, 2)
        jobs = [p for p in psutil.Process(process.pid).children(recursive=True) if "--each" in p.cmdline()]
        next(p for p in jobs if p.name().startswith("python")).kill()
        _, told = process.communicate(timeout=120)
    assert process.returncode == 3, told
    (note,) = failures(run)
    assert note["reason"] == "killed by SIGKILL (often: out of memory)"
    left = [subject for subject in "abcdef" if subject != note["subject"]]
    assert Cohort.load(run / "cohort.tsv").column("subject") == left
