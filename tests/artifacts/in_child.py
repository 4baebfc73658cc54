"""Run one call in a forked child with limits on memory and time, and bring back what it returned."""

import os
import pickle
import resource
import select
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a child ended: `ending` is "returned", "raised" (not an error it was told to expect), or "killed"."""

    ending: str
    value: Any = None


def in_child(call: Callable[[], Any], *, seconds: float, extra_mib: float) -> Outcome:
    """Fork, limit, call. The value must pickle. A child that is still running after `seconds` is killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(call, writing, extra_mib)
    os.close(writing)
    try:
        raw = _read_all(reading, seconds)
    finally:
        os.close(reading)
        if raw is None:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return Outcome("killed") if not raw else pickle.loads(raw)  # noqa: S301  (our own child wrote it)


def _child(call: Callable[[], Any], writing: int, extra_mib: float) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + int(extra_mib * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        outcome = Outcome("returned", call())
    except BaseException:  # noqa: BLE001  (whatever it was, the parent has to hear of it)
        outcome = Outcome("raised", traceback.format_exc())
    with os.fdopen(writing, "wb") as stream:
        pickle.dump(outcome, stream)
        stream.flush()
        os._exit(0)


def _read_all(reading: int, seconds: float) -> bytes | None:
    """Everything the child wrote; None where it had not finished in time."""
    import time

    blocks = []
    end = time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        block = os.read(reading, 1 << 16)
        if not block:
            return b"".join(blocks)
        blocks.append(block)
