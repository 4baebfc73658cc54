"""Start Snakemake until nothing new fails, and nothing damaged is left.

When some subjects fail, the rest goes on: the workflow is planned again without them, so that a training or a report
uses whatever finished. Where a job met a damaged result, that is made anew and the job is tried again (`mend`).
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from voxfield.errors import MachineError
from voxfield.runs.engine import Engine
from voxfield.runs.failures import failures
from voxfield.runs.kept import forget, lay_by
from voxfield.runs.lost import note_lost_jobs
from voxfield.runs.mend import Mender
from voxfield.runs.share import judge
from voxfield.runs.untold import note_untold_failures


def sweep(run: Path) -> None:
    """Forget the failures of earlier tries, and remove the unfinished files that a kill left behind."""
    for old in (run / "failures").rglob("*.json"):
        old.unlink()
    remove_unfinished(run)


def remove_unfinished(run: Path) -> None:
    """Remove the files that jobs which were killed were writing, and lay by what others have finished since."""
    lay_by(run)
    for mark in (run / "failures").glob("*.started"):
        mark.unlink()
    unfinished = [*run.rglob(".vf*"), *(run / "failures").glob("*.tmp"), *(run / "batches").rglob("*.tmp")]
    for partial in unfinished:
        sys.stderr.write(f"removing {partial.relative_to(run)}, left unfinished by a job that was killed\n")
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink()


def until_settled(engine: Engine, lock: int, behind: Callable[[], list[str]] = list) -> int:
    """Run the workflow, and plan it again as long as new jobs fail. Raises what `share.judge` raises.

    lock    descriptor of the lock on the run folder, which Snakemake holds as well
    behind  outputs to be made anew although Snakemake sees no reason; asked before every start
    """
    run = engine.run
    seen: set[str] = set()
    mender = Mender(engine)
    forced = mender.before()
    while True:
        forced += behind()
        code = start(engine, lock, *(["--forcerun", *forced] if forced else []))
        again = mender.after()
        forced = again or []
        if again is not None:
            continue
        failed = failures(run)
        known = {f"{f['subject']}/{f['stage']}" for f in failed}
        if code == 0 or known <= seen:
            break
        seen |= known
    forget(run)
    judge(run)
    if code != 0:
        raise MachineError(f"Snakemake ended with exit code {code}; its messages are above")
    sys.stdout.write(f"{run / 'report' / 'index.html'}\n")
    return 0


def start(engine: Engine, lock: int, *words: str) -> int:
    """Start Snakemake once, to its end; its exit code."""
    code = _snakemake(engine.command(*words), lock)
    if code < 0 or code == 130:
        raise KeyboardInterrupt
    if code != 0:
        note_lost_jobs(engine.run)
        note_untold_failures(engine.run)
    return code


def _snakemake(command: Sequence[str], lock: int) -> int:
    """Run Snakemake. Ctrl-C reaches it too: it ends its jobs, on a cluster as well, and is given the time for that."""
    interrupted = False
    with subprocess.Popen(command, pass_fds=(lock,)) as process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                if not interrupted and not _at_terminal():
                    process.send_signal(signal.SIGINT)
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return code


def _at_terminal() -> bool:
    """Whether a terminal sends Ctrl-C to all of us; else an interrupt is meant for this process, which passes it on."""
    try:
        with Path("/dev/tty").open() as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
