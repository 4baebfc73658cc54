"""Who else works in a run folder: another run, or the jobs of one that was killed."""

import os
import sys
import time
from pathlib import Path

from voxfield.errors import MachineError

DYING_S = 5.0  # a process that was killed may be seen for a while before it is gone


def wait_for_orphans(run: Path) -> None:
    """Raise MachineError while another run works in the folder; wait for the last jobs of one that was killed."""
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


def _busy(run: Path) -> dict[int, bool]:
    """Live processes that work in the run folder, and whether they are a run (else they are one of its jobs)."""
    import psutil

    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    found: dict[int, bool] = {}
    for process in psutil.process_iter():
        try:
            here = process.pid not in mine and process.cwd() == str(run)
            if here and process.status() != psutil.STATUS_ZOMBIE and "python" in process.name():
                found[process.pid] = "snakemake" in process.cmdline()
        except (psutil.Error, OSError):
            continue
    return found
