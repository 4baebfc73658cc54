"""`voxfield run --profile slurm` on real daemons: what a cohort may meet there, and runs that are stopped."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from slurm_cluster import slurm

from voxfield.artifacts import Cohort, Image
from voxfield.records import hash_file
from voxfield.runs.failures import failures
from voxfield.runs.slurm import job_prefix, live_jobs
from voxfield.runs.verify import verify_run

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("cluster")]
PIPELINE = Path(__file__).parent / "cohort"
COLUMNS = ("rule", "wildcards", "mem_mb", "threads", "job", "gpus")
PATIENCE_S = 240.0


class Runs:
    """`voxfield run` on a cohort in one folder, as often as it takes."""

    def __init__(self, folder: Path, profile: Path, *subjects: str) -> None:
        self.folder, self.profile = folder, profile
        self.run, self.gate, self.told = folder / "run", folder / "gate", folder / "told"
        folder.mkdir()
        for number, subject in enumerate(subjects):
            data = np.random.default_rng(number).random((6, 6, 6)).astype("f4")
            Image(data, np.eye(4)).save(folder / f"{subject}.nii.gz")
        rows = "".join(f"{subject}\t{subject}.nii.gz\n" for subject in subjects)
        (folder / "cohort.tsv").write_text(f"subject\timage\n{rows}")

    def start(self) -> None:
        """Start it; what it says goes to `told`."""
        words = ["run", str(PIPELINE), "--directory", str(self.run), "--profile", str(self.profile)]
        words += ["--set", f"cohort={self.folder / 'cohort.tsv'}", "--set", f"gate={self.gate}"]
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
        with self.told.open("wb") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "voxfield", *words], stdout=told, stderr=told, start_new_session=True
            )
        signal.signal(signal.SIGINT, before)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Kill it with all its processes on this machine; jobs on Slurm are none of them."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait for something that is bound to come."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, self.told.read_text()
            assert self.process.poll() in {None, 130}, self.told.read_text()
            time.sleep(0.1)

    def executions(self, rule: str, subject: str = "") -> list[dict[str, str]]:
        """Each time that a job of a rule began on a subject."""
        place = self.run / "logs" / "executions.tsv"
        rows = csv.DictReader(place.read_text().splitlines(), COLUMNS, delimiter="\t") if place.exists() else ()
        wanted = f"subject={subject}" if subject else ""
        return [row for row in rows if (row["rule"], row["wildcards"]) == (rule, wanted)]


@pytest.fixture(scope="module")
def mixed(cluster: object, profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A run of subjects that fare differently; other tests go on in the meantime."""
    runs = Runs(tmp_path_factory.mktemp("mixed") / "cohort", profile, "ok", "half", "cut", "lost", "huge")
    runs.start()
    yield runs
    runs.kill()


@pytest.mark.usefixtures("mixed")
def test_an_interrupt_ends_the_jobs_and_a_kill_leaves_them_and_both_go_on(profile: Path, tmp_path: Path) -> None:
    runs = Runs(tmp_path / "stopped", profile, "ok", "slow")
    ok, slow = (runs.run / f"sub-{subject}" / "again.json" for subject in ("ok", "slow"))
    runs.start()
    try:
        runs.wait_until(ok.exists)
        runs.wait_until(lambda: len(live_jobs(runs.run)) == 1 and runs.executions("annotate", "slow"))
        finished = {ok: ok.read_text()}
        runs.process.send_signal(signal.SIGINT)
        assert runs.end() == 130
        assert "the same command goes on" in runs.told.read_text()
        runs.wait_until(lambda: not live_jobs(runs.run))

        runs.start()
        runs.wait_until(lambda: len(runs.executions("annotate", "slow")) == 2)
        runs.kill()
        orphan = runs.executions("annotate", "slow")[-1]["job"]
        assert live_jobs(runs.run)[orphan] == "RUNNING"

        runs.start()
        runs.wait_until(lambda: "waiting for Slurm jobs that an earlier run left behind" in runs.told.read_text())
        assert f"{orphan} running" in runs.told.read_text()
        runs.gate.touch()
        runs.wait_until(slow.exists)
        finished[slow] = slow.read_text()
        assert runs.end() == 0, runs.told.read_text()
    finally:
        runs.kill()
    assert {record: record.read_text() for record in finished} == finished, "seconds and all: nothing was made twice"
    assert Cohort.load(runs.run / "cohort.tsv").column("subject") == ["ok", "slow"]
    assert hash_file(runs.run / "sub-slow" / "annotation.nii.gz") == hash_file(runs.run / "sub-slow" / "again.nii.gz")
    assert verify_run(runs.run) == 0


def test_a_scan_is_one_job_and_a_wish_for_a_gpu_is_one(mixed: Runs) -> None:
    mixed.end()
    (first,), (second,) = mixed.executions("annotate", "ok"), mixed.executions("again", "ok")
    assert first["job"] == second["job"] != ""
    (gather,) = mixed.executions("gather")
    assert (gather["gpus"], gather["threads"], gather["mem_mb"]) == ("1", "2", "300")
    assert first["gpus"] == ""


def test_what_fails_is_tried_once_more_with_more_memory(mixed: Runs) -> None:
    assert mixed.end() in {3, 4}
    for rule, subject in (("annotate", "half"), ("again", "half"), ("annotate", "cut"), ("annotate", "lost")):
        assert [row["mem_mb"] for row in mixed.executions(rule, subject)] == ["200", "400"], (rule, subject)
    assert len(mixed.executions("again", "cut")) == 1
    assert Cohort.load(mixed.run / "cohort.tsv").column("subject") == ["ok", "cut"]


def test_every_failure_names_its_stage_log_and_cause(mixed: Runs) -> None:
    mixed.end()
    notes = {note["subject"]: note for note in failures(mixed.run)}
    assert sorted(notes) == ["half", "huge", "lost"]
    assert len(failures(mixed.run)) == 3
    told = mixed.told.read_text()
    for subject, name, cause in (
        ("half", "again", "'axis' is 9"),
        ("lost", "annotate", "was cancelled"),
        ("huge", "annotate", "never began"),
    ):
        note = notes[subject]
        assert (note["stage"], note["log"]) == ("segmentation.annotate", f"logs/sub-{subject}/segmentation.{name}.log")
        assert cause in note["reason"]
        assert (mixed.run / note["log"]).is_file()
        assert re.search(rf"^{subject}: segmentation.annotate: .*\(log: {note['log']}", told, re.MULTILINE)
    for subject in ("half", "lost"):
        note = notes[subject]
        assert note["slurm_job"] == mixed.executions("annotate", subject)[-1]["job"]
        assert (mixed.run / note["slurm_log"]).is_file()
    assert not list((mixed.run / "failures").glob("*.started"))
    for job in slurm("squeue", "--noheader", "--states=all", "--format=%A|%j").splitlines():
        number, name = job.split("|")
        if number in {note.get("slurm_job") for note in notes.values()}:
            assert name.startswith(job_prefix(mixed.run))
