"""`voxfield derivatives RUN_DIR FOLDER`: the results of every scan as a BIDS derivative.

Files are linked, not copied, where the file system can; a file is under its name as a whole or not at all, and what is
there already is left as it is, so that the same command goes on after a kill and takes up what a grown run has added.
Sidecars hold the record of the file, without names of files from outside the run.
"""

import errno
import fcntl
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxfield.errors import InputError, MachineError
from voxfield.records import read_record
from voxfield.runs.derivative_names import SCANS, Name, file_name, named
from voxfield.runs.derivative_scans import Scan, scans_of
from voxfield.runs.derivative_texts import DESCRIPTION, Output, describe, describe_dataset
from voxfield.runs.folder import SETTINGS, files_of, read_marker, recorded_output, require_run, write_whole


def write_derivatives(run: Path, folder: Path) -> int:
    """Write the tree. Raises InputError where a file is not what its record says, when everything else is written."""
    require_run(run)
    pipeline = str(read_marker(run).get("pipeline", ""))
    if pipeline not in SCANS:
        known = ", ".join(sorted(SCANS))
        raise InputError(f"is a run of {pipeline or 'no pipeline'}, whose subjects are no scans; BIDS has a place for "
                         f"those of {known}", file=run)  # fmt: skip
    _claim(folder, run)
    with _alone(folder):
        return _write_tree(run, folder, pipeline)


def _write_tree(run: Path, folder: Path, pipeline: str) -> int:
    table = _table(run)
    for partial in folder.rglob(".vf*"):  # a kill left it behind
        partial.unlink()
    outputs, strangers = _outputs(run, table)
    if not outputs[0]:
        raise InputError("holds no finished result of a scan; `voxfield run` makes them", file=run)
    found, scans = outputs
    targets = {output.path: output.target for output in found}
    done, damaged = Counter[str](), []
    for output in found:
        try:
            whole = _is_whole(run / output.path, output.record)
            if whole:
                done[_bring(run / output.path, folder / output.target, output.record)] += 1
                describe(run, folder / output.target, output, targets)
        except FileNotFoundError:  # a live run makes it anew just now
            whole = False
        if not whole:
            damaged.append(output.path)
    describe_dataset(folder, pipeline, table, {output.name.suffix for output in found}, scans)
    _say(done, len(scans), strangers)
    if damaged:
        listing = "\n".join(damaged)
        raise InputError(f"{len(damaged)} files differ from their records and were left out; see `voxfield verify`\n"
                         f"{listing}", file=run)  # fmt: skip
    return 0


def _claim(folder: Path, run: Path) -> None:
    """Make the folder, or take it up where an earlier call left it."""
    if run.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError("lies in the run folder, whose files all have records; choose a folder outside", file=folder)
    place = folder / DESCRIPTION
    if place.is_file():
        try:
            makers = json.loads(place.read_text(encoding="utf-8")).get("GeneratedBy", [])
            ours = any(maker.get("Name") == "voxfield" for maker in makers)
        except (ValueError, AttributeError):
            ours = False
        if not ours:
            raise InputError("is a data set that Voxfield did not write; choose another folder", file=folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"is not empty and has no {DESCRIPTION}; choose another folder", file=folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not place.is_file():
        write_whole(place, json.dumps({"Name": "unfinished", "GeneratedBy": [{"Name": "voxfield"}]}) + "\n")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder by a lock of the kernel, which ends with the process; where there are no locks go on without."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            os.close(handle)
            message = "is being written by another `voxfield derivatives`; wait for it"
            raise MachineError(message, file=folder) from None
    try:
        yield
    finally:
        os.close(handle)


def _table(run: Path) -> Path | None:
    """The cohort table that the run was started on, where it still is; else the one that it made."""
    from voxfield.settings_yaml import load_yaml

    config = load_yaml(run / SETTINGS) if (run / SETTINGS).is_file() else {}
    given = config.get("cohort")
    places = [*([Path(given)] if isinstance(given, str) else []), run / "cohort.tsv"]
    return next((place for place in places if place.is_file()), None)


def _outputs(run: Path, table: Path | None) -> tuple[tuple[list[Output], dict[str, Scan]], Counter[str]]:
    """Outputs of single scans with their places in the tree, the scans, and names of files without one."""
    told: list[tuple[str, str, Name, Mapping[str, Any]]] = []
    strangers = Counter[str]()
    for path, record in _recorded(run):
        match = named(path)
        if match:
            told.append((path, *match, record))
        elif path.startswith("sub-") and record["output"]["kind"] != "Report":
            strangers[path.rpartition("/")[2]] += 1
    scans = scans_of(sorted({subject for _, subject, _, _ in told}), table)
    found = [
        Output(path, f"{scans[who].folder}/{file_name(scans[who].entities, name, path)}", name, record)
        for path, who, name, record in told
    ]
    return (found, scans), strangers


def _recorded(run: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and record of every output that is there; those that were let go (`keep:`) have a record alone."""
    for place in files_of(run):
        recorded = recorded_output(place, run)
        if recorded is not None and recorded[0].exists():
            record = read_record(recorded[0])
            if record is not None:
                yield recorded[0].relative_to(run).as_posix(), record


def _is_whole(source: Path, record: Mapping[str, Any]) -> bool:
    """Whether a file has the size that its record says; `voxfield verify` hashes all of it."""
    return source.stat().st_size == int(record["output"]["bytes"])


def _bring(source: Path, target: Path, record: Mapping[str, Any]) -> str:
    """Link a file to its new name, or copy it; returns what was done."""
    if target.exists() and (target.samefile(source) or _is_copy(target, record)):
        return "there already"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".vf{os.getpid()}-{len(target.name)}")
    how = "linked"
    try:
        os.link(source, partial)
    except OSError:  # another file system, or one without links
        how = "copied"
        shutil.copyfile(source, partial)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
    partial.replace(target)
    return how


def _is_copy(target: Path, record: Mapping[str, Any]) -> bool:
    """Whether a file has the size of the output, and a sidecar, written after it, that tells the same hash."""
    try:
        beside = read_record(target)
    except InputError:
        return False
    return _is_whole(target, record) and beside is not None and beside["output"]["sha256"] == record["output"]["sha256"]


def _say(done: Counter[str], scans: int, strangers: Counter[str]) -> None:
    counts = ", ".join(f"{count} {how}" for how, count in done.items())
    sys.stdout.write(f"{sum(done.values())} files of {scans} scans: {counts or 'none'}\n")
    if strangers:
        names = ", ".join(f"{name} ({count})" for name, count in strangers.most_common(8))
        sys.stdout.write(f"without a name in BIDS, and left out: {names}\n")
