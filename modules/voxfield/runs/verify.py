"""Look a finished run over: are its files what their records say?"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.findings import Finding
from voxfield.records import read_record, record_path
from voxfield.runs.damage import fault_of, note_damage
from voxfield.runs.folder import files_of, require_run
from voxfield.runs.lock import hold

Record = dict[str, Any]
NEXT = "the next `voxfield run` makes anew what is its own"
ARTIFACTS = (".graphml", ".json", ".nii.gz", ".safetensors", ".swc", ".tsv", ".vtp")


def verify_run(run: Path) -> int:
    """Hash every recorded file anew, and look for files that no record speaks of.

    Raises InputError naming each file that differs from its record or has none, and writes these down for the next
    `voxfield run`, which makes them anew. Temporary files that a kill left behind are told and harm nothing. Raises
    MachineError while a run is at work in the folder.
    """
    require_run(run)
    ours = os.access(run, os.W_OK)  # somebody else's run is looked over and left alone
    with hold(run) if ours else nullcontext():
        files = list(files_of(run))
        _tell_left_over(run, files)
        records, bad = _records(run, files)
        bad |= dict(_differing(run, records))
        bad |= dict.fromkeys(_unrecorded(run, files, {*records, *bad}), "its record is missing")
        if ours:
            note_damage(run, bad)
    if bad:
        listing = "\n".join(f"{name}: {fault}" for name, fault in sorted(bad.items()))
        raise InputError(f"{len(bad)} files differ from their records or have none; {NEXT}\n{listing}", file=run)
    sys.stdout.write(f"{len(records)} files agree with their records\n")
    return 0


def _tell_left_over(run: Path, files: Sequence[Path]) -> None:
    for file in files:
        if file.name.startswith("."):
            message = "a temporary file left by a job that was killed; the next `voxfield run` removes it"
            sys.stderr.write(f"{Finding('left-over', 'warning', message, str(file.relative_to(run)))}\n")


def _records(run: Path, files: Sequence[Path]) -> tuple[dict[str, Record], dict[str, str]]:
    """Records by the artifacts that they speak of, and what is wrong with those that can not be used."""
    found: dict[str, Record] = {}
    broken: dict[str, str] = {}
    for place in files:
        for made in _described_by(place):
            name = made.relative_to(run).as_posix()
            try:
                record = read_record(made)
            except InputError as error:
                if made.exists():
                    broken[name] = f"its record can not be used: {error.message}"
                continue
            if record and record["output"].get("path") == name:
                found[name] = record
    return found, broken


def _described_by(place: Path) -> list[Path]:
    """The files whose record may stand in `place`."""
    if place.suffix != ".json":
        return []
    stem = place.with_suffix("")
    return [stem.with_name(f"{stem.name}.nii.gz"), *([stem] if stem.suffix != ".gz" else [])]


def _differing(run: Path, records: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    """Files that are not what their records say."""
    for name, record in Context(show=sys.stderr.isatty()).progress(records.items(), total=len(records), desc="verify"):
        if fault := fault_of(run / name, record):
            yield name, fault


def _unrecorded(run: Path, files: Sequence[Path], told: Collection[str]) -> list[str]:
    """Files named like artifacts that are no record, have none, and lie in no recorded folder, such as a page."""
    made = {run / name for name in told}
    known = {*made, *(record_path(path) for path in made)}
    return [
        file.relative_to(run).as_posix()
        for file in files
        if file.name.endswith(ARTIFACTS)
        and not file.name.startswith(".")
        and file not in known
        and known.isdisjoint(file.parents)
    ]
