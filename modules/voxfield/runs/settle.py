"""Start Snakemake until nothing new fails.

When some subjects fail, the rest goes on: the workflow is planned again without them, so that a training or a report
uses whatever finished.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from voxfield.errors import MachineError
from voxfield.runs.failures import failures
from voxfield.runs.share import judge


def sweep(run: Path) -> None:
    """Forget the failures of earlier tries, and remove the unfinished files that a kill left behind."""
    for old in (run / "failures").glob("*.json"):
        old.unlink()
    for partial in run.rglob(".vf*"):
        sys.stderr.write(f"removing {partial.relative_to(run)}, left unfinished by a job that was killed\n")
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink()


def until_settled(command: Sequence[str], run: Path) -> int:
    """Run the workflow, and plan it again as long as new jobs fail. Raises what `share.judge` raises."""
    seen: set[str] = set()
    while True:
        code = subprocess.call(list(command))
        if code < 0 or code == 130:
            raise KeyboardInterrupt
        failed = failures(run)
        known = {f"{f['subject']}/{f['stage']}" for f in failed}
        if code == 0 or known <= seen:
            break
        seen |= known
    judge(run)
    if code != 0:
        raise MachineError(f"Snakemake ended with exit code {code}; its messages are above")
    sys.stdout.write(f"{run / 'report' / 'index.html'}\n")
    return 0
