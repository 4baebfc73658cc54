"""Damaged results of a run: those that disagree with their records or lost them.

Some of that is seen before a run is planned (`changed`), the rest by the stage that is given the file (`met`, see
`voxfield.intact`) or by `voxfield verify`. What is to be made anew stands in `damaged/list.json` until it is there
again, so that a kill in between forgets nothing.
"""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxfield.errors import InputError, damage_in
from voxfield.records import KEY, hash_file, key_of, read_record
from voxfield.runs.folder import folders_of, write_whole
from voxfield.runs.state import read_state

ASIDE = "damaged"
LIST = "list.json"


def changed(run: Path) -> dict[str, str]:
    """Results that differ from their records in size, or in their hash: path in the run -> what is wrong.

    Looks at sizes and times of all results and reads their records, but hashes only files that are later than those.
    """
    found: dict[str, str] = {}
    for folder, inside, names in folders_of(run):
        there = {*inside, *names}
        for name in names:
            stem = name.removesuffix(".json")
            for made in (f"{stem}.nii.gz", stem):
                if name != stem and made in there and (fault := _difference(folder / made, folder / name, run)):
                    found[(folder / made).relative_to(run).as_posix()] = fault
    return found


def _difference(made: Path, place: Path, run: Path) -> str | None:
    try:
        content = json.loads(place.read_bytes())
        if not isinstance(content, dict) or KEY not in content:
            return None  # somebody else's JSON
        size, written = content[KEY]["output"]["bytes"], content[KEY]["output"]["sha256"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return "its record can not be read"
    found, latest = _size_and_time(made)
    if found != size:
        return f"holds {found} bytes, its record says {size}"
    if latest > place.stat().st_mtime_ns and latest > _job_ended(made, run):
        if hash_file(made)[0] != written:
            return "was changed after it was written"
        place.touch()  # a copy that came in another order; it need not be hashed again
    return None


def _size_and_time(made: Path) -> tuple[int, int]:
    """Bytes and last change (ns) of a file or of a folder's files."""
    told = [p.stat() for p in made.rglob("*") if p.is_file()] if made.is_dir() else [made.stat()]
    return sum(s.st_size for s in told), max((s.st_mtime_ns for s in told), default=0)


def _job_ended(made: Path, run: Path) -> int:
    """When Snakemake noted what it knows of an output (ns), just after it gave that the time of the job's end."""
    name = base64.urlsafe_b64encode(made.relative_to(run).as_posix().encode()).decode()
    note = run / ".snakemake" / "metadata" / name
    return note.stat().st_mtime_ns if len(name) < 255 and note.exists() else 0


def known_damage(run: Path) -> dict[str, str]:
    """What `note_damage` wrote down and nobody has mended since."""
    return {path: fault for path, fault in _listed(run).items() if not is_sound(run / path)}


def _listed(run: Path) -> dict[str, str]:
    return read_state(run / ASIDE / LIST)


def note_damage(run: Path, damage: Mapping[str, str]) -> None:
    """Write down what is to be made anew, in place of what was written before."""
    place = run / ASIDE / LIST
    if damage:
        place.parent.mkdir(exist_ok=True)
        write_whole(place, json.dumps(damage, indent=1) + "\n")
    else:
        place.unlink(missing_ok=True)


def still_gone(run: Path) -> dict[str, str]:
    """Of what `note_damage` wrote down, that which was set aside and has not been made since."""
    return {path: fault for path, fault in _listed(run).items() if not (run / path).exists()}


def is_sound(path: Path) -> bool:
    """Whether a result is there, and what its record says."""
    try:
        record = read_record(path) if path.exists() else None
    except InputError:
        return False
    return record is not None and fault_of(path, record) is None


def fault_of(path: Path, record: Mapping[str, Any]) -> str | None:
    """In what a result, hashed anew, differs from its record; None where it does not."""
    if not path.exists():
        return "is gone although its record is there"
    found, written = hash_file(path)[0], record["output"]["sha256"]
    if found != written:
        return f"found sha256 {found[:12]}, its record says {written[:12]}"
    try:
        edited = "key" in record and key_of(record) != record["key"]
    except (KeyError, TypeError, AttributeError):
        edited = True
    return "its record contradicts itself: it was edited" if edited else None


def met(run: Path) -> dict[Path, tuple[str, str]]:
    """Notes of the jobs of this run that met a damaged result: its path in the run, and what is wrong with it."""
    found: dict[Path, tuple[str, str]] = {}
    for note in sorted((run / "failures").glob("*.json")):
        told = damage_in(read_state(note, {"reason": str})["reason"])
        path = os.path.relpath(run / told[0], run) if told else os.pardir
        if told and not path.startswith(os.pardir):
            found[note] = path, told[1]
    return found
