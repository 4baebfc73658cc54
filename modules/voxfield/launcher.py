"""Start one call of a stage in several processes on this machine: torchrun's launcher, with one line for an error.

The processes are those of `torchrun --standalone --nproc-per-node N -m voxfield ...`, by the functions beneath it
(`torch.distributed.launcher`): when one of them ends with an error or is killed, the others are ended too. In place of
its report stands what `voxfield` always gives: one line, and the exit code of the process that failed. The first
process speaks; of the others, one that fails is heard.
"""

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxfield.processes import COMPLAINTS

FAILED_MACHINE = 3


def launch(words: Sequence[str], count: int) -> int:
    """Run `voxfield` with these words in `count` processes that know of each other; the exit code.

    The threads of this process, OMP_NUM_THREADS or all cores, are shared out.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # failures are told here
    threads = int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads // count))
    with tempfile.TemporaryDirectory(prefix="voxfield-") as folder:
        complaints = Path(folder, "complaints")
        complaints.mkdir()
        os.environ[COMPLAINTS] = str(complaints)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(folder, redirects=dict.fromkeys(range(1, count), Std.ALL)),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "voxfield", *words)
        except ChildFailedError as error:
            return _tell(list(error.failures.values()), count, Path(folder))
        except SignalException as error:
            return 128 + int(error.sigval)
    return 0


def _tell(failures: Sequence[Any], count: int, folder: Path) -> int:
    """Say why the processes failed; the exit code."""
    complaints = sorted((folder / "complaints").iterdir())
    if complaints:  # several may say the same: one line is enough
        code, _, line = complaints[0].read_text().partition(" ")
        sys.stderr.write(line)
        return int(code)
    ended = [failure for failure in failures if failure.exitcode > 0]
    if ended:  # a bug; the first process has shown its traceback itself
        for log in sorted(folder.rglob(f"{ended[0].local_rank}/stderr.log")):
            sys.stderr.write(log.read_text(errors="replace"))
        return int(ended[0].exitcode)
    killed = min(failures, key=lambda failure: (failure.exitcode == -signal.SIGTERM, failure.local_rank))
    name = signal.Signals(-killed.exitcode).name
    often = " (often: out of memory)" if name == "SIGKILL" else ""
    sys.stderr.write(
        f"error: process {killed.local_rank} of {count} was killed by {name}{often}; "
        "the same command goes on from the last checkpoint\n"
    )
    return FAILED_MACHINE
