"""Processes that are killed take the others along at once, and say so in one line."""

import time
from pathlib import Path

import psutil

from core.together import add, prepare, start


def test_a_killed_process_ends_the_others(tmp_path: Path) -> None:
    prepare(tmp_path)
    code, said = add(tmp_path, "kill-one")
    assert code == 3
    assert said == (
        "error: process 1 of 2 was killed by SIGKILL (often: out of memory); "
        "the same command goes on from the last checkpoint\n"
    )


def met(launcher: psutil.Process) -> list[psutil.Process]:
    """The two processes of a launcher, once they have met."""
    until = time.monotonic() + 200
    while time.monotonic() < until:
        workers = [w for w in launcher.children() if "WORLD_SIZE" in w.environ() and w.cpu_times().user > 0.5]
        if len(workers) == 2 and all(w.status() == "sleeping" and len(w.net_connections()) > 1 for w in workers):
            return workers
        time.sleep(0.2)
    raise AssertionError("the processes did not meet")


def test_nobody_outlives_the_launcher(tmp_path: Path) -> None:
    prepare(tmp_path)
    with start(tmp_path, "--processes", "2", "--set", "mode=wait") as launcher:
        workers = met(psutil.Process(launcher.pid))
        launcher.kill()
        assert not psutil.wait_procs(workers, timeout=60)[1]
