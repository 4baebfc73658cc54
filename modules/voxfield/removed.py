"""Files that `keep` let go: beside where `x.nii.gz` lay stands `x.nii.gz.removed`, its record.

A file that was let go still counts as made: its hash is known, so that whatever was made of it stays current, and
growth, resume and retry go on without it.
"""

import json
from pathlib import Path
from typing import Any

from voxfield.batches import REMOVED
from voxfield.records import hash_file, read_record, record_path


def removed_place(path: Path) -> Path:
    """Where the record of a file that was let go stands."""
    return path.with_name(path.name + REMOVED)


def record_of(path: Path) -> dict[str, Any] | None:
    """The record of a file that is there or was let go; None where there is neither."""
    if path.exists():
        return read_record(path)
    place = removed_place(path)
    return dict(json.loads(place.read_text())["voxfield"]) if place.is_file() else None


def sha256_of(path: Path) -> str:
    """The hash of a file, from its record where it was let go; empty where there is neither."""
    if path.exists():
        return hash_file(path)[0]
    record = record_of(path)
    return "" if record is None else str(record["output"]["sha256"])


def let_go(path: Path) -> int:
    """Remove a recorded file and keep its record; the bytes that this frees."""
    size = path.stat().st_size
    if record_path(path).is_file():  # else a kill came before the next line
        record_path(path).rename(removed_place(path))
    path.unlink()
    return size
