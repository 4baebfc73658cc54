"""Who else works in a run folder: another run, or the jobs of one that was killed, here or on Slurm."""

import os
import sys
import time
from pathlib import Path

from voxfield.errors import MachineError
from voxfield.runs import slurm

DYING_S = 5.0  # a process that was killed may be seen for a while before it is gone
SLURM_POLL_S = 5.0


def wait_for_orphans(run: Path) -> None:
    """Wait for the last jobs of a run that was killed, here and on Slurm.

    Raises MachineError while another run works in the folder.
    """
    _wait_for_slurm(run)
    told: set[int] = set()
    started = time.monotonic()
    while busy := _busy(run):
        for pid, is_run in busy.items():
            if is_run and time.monotonic() - started > DYING_S:
                raise MachineError(f"process {pid} is a run in this folder; wait for it or stop it", file=run)
            if pid not in told:
                sys.stderr.write(f"waiting for process {pid}, which an earlier run left behind in this folder\n")
                told.add(pid)
        time.sleep(0.2)


def _wait_for_slurm(run: Path) -> None:
    """Wait for Slurm jobs that a run left behind: they would write where new ones write."""
    told: set[str] = set()
    while jobs := slurm.live_jobs(run):
        if new := sorted(set(jobs) - told):
            states = ", ".join(f"{job} {jobs[job].lower()}" for job in new)
            sys.stderr.write(
                f"waiting for Slurm jobs that an earlier run left behind in this folder: {states}; "
                f"`scancel {' '.join(new)}` ends them sooner\n"
            )
            told.update(new)
        time.sleep(SLURM_POLL_S)


def _busy(run: Path) -> dict[int, bool]:
    """Live processes that work in the run folder, and whether they are a run (else they are one of its jobs)."""
    import psutil

    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    found: dict[int, bool] = {}
    for process in psutil.process_iter():
        try:
            here = process.pid not in mine and process.cwd() == str(run)
            words = process.cmdline() if here and process.status() != psutil.STATUS_ZOMBIE else []
            # The shell of a job outlives its stage for a moment, in order to write down how that ended.
            if words and ("python" in process.name() or words[1:2] == ["-c"]):
                found[process.pid] = "snakemake" in words and "--mode" not in words  # with a mode it is part of a job
        except (psutil.Error, OSError):
            continue
    return found
