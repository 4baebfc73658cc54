"""One run at a time in a run folder.

`voxfield run` holds an exclusive lock (flock) on `voxfield-run.lock` from before it plans to its end, and hands it down
to the Snakemake that it starts. The kernel drops the lock with the last of the two: a kill leaves no stale one, and
nobody begins while Snakemake lives on without the `voxfield run` that was killed. What stands in the file only tells
who it is. On NFS (version 4, or 3 with its lock service) the lock holds between machines; mounted with `local_lock` or
`nolock` it holds on each machine alone. A file system without locks is told of.
"""

import errno
import fcntl
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from voxfield.errors import MachineError

LOCK = "voxfield-run.lock"
WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
TAKEN = frozenset({errno.EWOULDBLOCK, errno.EACCES})
PAUSE_S = 0.1
UNNAMED_S = 2.0  # a run that has just taken the lock writes its number in a moment
BOOT = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def hold(run: Path) -> Iterator[int]:
    """Hold a run folder alone; gives the descriptor that a child inherits in order to hold it as well.

    Raises MachineError that names the process which holds the folder. Waits for the Snakemake of a run that was killed.
    """
    try:
        lock = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise MachineError(f"can not be written to: {error.strerror}", file=run) from None
    try:
        _take(lock, run)
        _write(lock, json.dumps(_myself()))
        yield lock
        _write(lock, "")
    finally:
        os.close(lock)


def _take(lock: int, run: Path) -> None:
    started, told = time.monotonic(), False
    while not _taken(lock, run):
        holder = _read(lock)
        if holder and (holder["machine"] != _machine() or _lives(holder)):
            where = "" if holder["machine"] == _machine() else " on another machine"
            raise MachineError(f"process {holder['process']}{where} is a run in this folder; wait for it or stop it",
                               file=run)  # fmt: skip
        if not told and time.monotonic() - started > UNNAMED_S:
            whose = f"of process {holder['process']}, which was killed" if holder else "that holds this folder"
            sys.stderr.write(f"waiting for the Snakemake {whose}: it finishes its jobs\n")
            told = True
        time.sleep(PAUSE_S)


def _taken(lock: int, run: Path) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        if error.errno not in WITHOUT_LOCKS:
            raise
        sys.stderr.write(f"{run}: this file system has no locks; see to it that no other run works in the folder\n")
    return True


def _myself() -> dict[str, object]:
    """This process, in words that no other process, later or elsewhere, shares; the host is not named."""
    return {"process": os.getpid(), "started": psutil.Process().create_time(), "machine": _machine()}


def _machine() -> str:
    boot = BOOT.read_bytes() if BOOT.is_file() else str(psutil.boot_time()).encode()
    return hashlib.sha256(boot).hexdigest()[:12]


def _lives(holder: dict[str, object]) -> bool:
    try:
        process = psutil.Process(int(str(holder["process"])))
        same = abs(process.create_time() - float(str(holder["started"]))) < 1
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _read(lock: int) -> dict[str, object] | None:
    try:
        content = json.loads(os.pread(lock, 1000, 0))
        return {"process": content["process"], "started": content["started"], "machine": content["machine"]}
    except (ValueError, KeyError, TypeError):
        return None  # it has taken the lock and not written yet


def _write(lock: int, text: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, text.encode(), 0)
