"""Two runs at once, and runs that were killed: who holds a run folder, and until when."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from runs import command, make_cohort, mtimes, voxfield

from voxfield.errors import MachineError
from voxfield.runs.lock import LOCK, hold

INTACT = Path(__file__).parent / "intact"
HOLDER = """
import os, subprocess, sys, time
from pathlib import Path
from voxfield.runs.lock import hold
with hold(Path(sys.argv[1])) as lock:
    if len(sys.argv) > 2:
        print(subprocess.Popen(["sleep", sys.argv[2]], pass_fds=(lock,)).pid)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "held"
        yield process
        process.kill()


def test_the_second_is_told_who_holds_the_folder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(MachineError) as caught, hold(tmp_path):
        pass
    assert str(caught.value) == f"{tmp_path}: process {holder.pid} is a run in this folder; wait for it or stop it"
    assert caught.value.exit_code == 3


def test_a_kill_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / LOCK).read_text())["process"] == holder.pid
    with hold(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()
    assert (tmp_path / LOCK).read_text() == ""


def test_no_host_is_named(tmp_path: Path) -> None:
    with hold(tmp_path):
        assert os.uname().nodename not in (tmp_path / LOCK).read_text()


def test_what_a_killed_run_left_at_work_is_waited_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = [sys.executable, "-c", HOLDER, tmp_path, "4"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.stdout.readline()
        process.kill()
    assert psutil.pid_exists(child)
    with hold(tmp_path):
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert f"waiting for the Snakemake of process {process.pid}, which was killed" in capfd.readouterr().err


def test_a_process_elsewhere_is_not_looked_for_here(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """On a shared file system the number says nothing about the processes of this machine."""
    told = json.loads((tmp_path / LOCK).read_text())
    (tmp_path / LOCK).write_text(json.dumps({**told, "process": 2**22 - 1, "machine": "another"}))
    with pytest.raises(MachineError, match="on another machine is a run in this folder"), hold(tmp_path):
        pass


@pytest.mark.slow
def test_of_runs_that_start_in_the_same_instant_one_goes_on(tmp_path: Path) -> None:
    table, run = make_cohort(tmp_path / "scans", "abc"), tmp_path / "run"
    words = command(INTACT, table, run)
    started = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    told = [process.communicate(timeout=300)[1] for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0, 3, 3, 3], told
    winner = started[codes.index(0)].pid
    for code, text in zip(codes, told, strict=True):
        if code == 3:
            assert text == f"error: {run}: process {winner} is a run in this folder; wait for it or stop it\n"
    assert len(mtimes(run)) == 9


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_goes_on_after_the_snakemake_that_outlived_its_controller(how: signal.Signals, tmp_path: Path) -> None:
    table, run = make_cohort(tmp_path / "scans", "abcdef", side=48), tmp_path / "run"
    with subprocess.Popen(
        command(INTACT, table, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60
        while not list(run.glob("sub-*/first.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(how)
    ended = voxfield(INTACT, table, run)
    assert ended.returncode == 0, ended.stderr
    assert len(mtimes(run)) == 18
    assert not list(run.rglob(".vf*"))
