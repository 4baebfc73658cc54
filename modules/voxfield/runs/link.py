"""A run that begins with the results of another: hard links to its files, so that they cost no space and no time.

Every result is hashed against its record on the way, and left behind where it differs. File times are kept, and what
Snakemake knows of the jobs comes along: it then makes anew what follows from other settings, and nothing else. Whatever
writes into a run puts a new file in the place of the old one, so that the run with the other links never changes;
what is written in place (logs, batches, Snakemake's own notes) is copied. Where the file system has no hard links,
results are copied as well.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voxfield.batches import REMOVED
from voxfield.errors import MachineError
from voxfield.records import hash_file, record_path
from voxfield.runs.folder import files_of, recorded_output

COPIED = (".snakemake/metadata", ".snakemake/incomplete", "batches", "logs")


def begin_from(origin: Path, run: Path, complete: Callable[[Path], None]) -> None:
    """Make the folder `run` with the results of `origin`. It is there whole or not at all.

    complete  writes into the folder what is the new run's own

    Raises MachineError where another process has just made it.
    """
    begun = run.with_name(f".{run.name}.{os.getpid()}.partial")
    _sweep(run)
    try:
        for name in COPIED:
            if (origin / name).is_dir():
                shutil.copytree(origin / name, begun / name)
        linked = _link_results(origin, begun)
        _link_checkpoints(origin, begun)
        complete(begun)
        try:
            begun.rename(run)
        except OSError as error:
            raise MachineError(f"was begun by another process just now ({error.strerror})", file=run) from None
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    sys.stderr.write(f"linked to the results of {origin.name} that agree with their records: {linked}\n")


def link_or_copy(source: Path, target: Path) -> None:
    """One file under a second name; a copy where the file system allows none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _link_results(origin: Path, run: Path) -> int:
    """Link every artifact with its record; returns how many. Those that are gone or damaged are told."""
    files = list(files_of(origin))
    found = [(place, *told) for place in files if (told := recorded_output(place, origin))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing leaves the interpreter to others
        sound = list(pool.map(lambda entry: _is_sound(entry[1], entry[2]), found))
    for (place, artifact, _), good in zip(found, sound, strict=True):
        name = artifact.relative_to(origin)
        if not good:
            sys.stderr.write(f"{name} of {origin.name} is not what its record says; it is left behind\n")
            continue
        for file in _files_in(artifact):
            link_or_copy(file, run / file.relative_to(origin))
        link_or_copy(place, run / record_path(name))
    for place in files:
        if place.name.endswith(REMOVED):  # `keep` let the file go; it counts as made
            link_or_copy(place, run / place.relative_to(origin))
    return sum(sound)


def _is_sound(artifact: Path, sha256: str) -> bool:
    return artifact.exists() and hash_file(artifact)[0] == sha256


def _files_in(artifact: Path) -> Iterator[Path]:
    """The files of an artifact: itself, or those in its folder."""
    if artifact.is_dir():
        yield from (path for path in artifact.rglob("*") if path.is_file())
    else:
        yield artifact


def _link_checkpoints(origin: Path, run: Path) -> None:
    """Checkpoints of stages that were stopped: one whose inputs, settings and code are the same goes on from there."""
    for folder, inside, _ in os.walk(origin):
        for name in [name for name in inside if name.endswith(".work")]:
            for file in _files_in(Path(folder, name)):
                if not file.name.startswith("."):
                    link_or_copy(file, run / file.relative_to(origin))


def _sweep(run: Path) -> None:
    """Remove what a process that was killed while it linked left behind."""
    import psutil

    for left in run.parent.glob(".*.partial"):
        name, _, pid = left.name.removesuffix(".partial").rpartition(".")
        if name == f".{run.name}" and pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
