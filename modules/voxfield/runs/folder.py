"""What lies in a run folder, and what its marker says of it."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxfield.errors import InputError
from voxfield.paths import RUN_MARKER
from voxfield.records import record_path
from voxfield.runs.state import read_state

# Written by the run itself: no artifacts.
OWN_FOLDERS = frozenset({".snakemake", "batches", "damaged", "failures", "logs"})
SETTINGS = "config.yaml"  # the merged configuration, as it is saved with the run


def require_run(run: Path) -> None:
    """Raise InputError where `run` is no run folder."""
    if not (run / RUN_MARKER).is_file():
        raise InputError(f"is no run folder: it holds no {RUN_MARKER}; name the folder of a run", file=run)


def read_marker(run: Path) -> dict[str, Any]:
    """What a run says of itself: pipeline, folder of one's own pipeline, profile, the run it began with, seconds."""
    return read_state(run / RUN_MARKER)


def write_marker(run: Path, **entries: object) -> None:
    """Set entries of the marker; those that are None are left out."""
    content: Mapping[str, object] = {"schema": 1, **read_marker(run), **entries}
    write_whole(run / RUN_MARKER, json.dumps({k: v for k, v in content.items() if v is not None}) + "\n")


def write_whole(place: Path, text: str) -> None:
    """Write a file at once: whoever reads it, or is killed, meets the old text or the new one."""
    partial = place.with_name(f".vf{os.getpid()}-{place.name}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(place)


def files_of(run: Path) -> Iterator[Path]:
    """The files of a run but for what the run itself writes and the checkpoints of stages that are to go on."""
    for folder, _, names in folders_of(run):
        yield from (folder / name for name in names if name != RUN_MARKER)


def folders_of(run: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders of a run with the names of the folders and files in them, but for those that `files_of` leaves out."""
    for folder, inside, names in os.walk(run):
        own = OWN_FOLDERS if Path(folder) == run else frozenset()
        inside[:] = sorted(name for name in inside if name not in own and not name.endswith(".work"))
        yield Path(folder), inside, sorted(names)


def recorded_output(place: Path, run: Path) -> tuple[Path, str] | None:
    """The artifact that a record in `place` speaks of and its sha256; None where the file is no record."""
    if place.suffix != ".json":
        return None
    try:
        output = json.loads(place.read_text())["voxfield"]["output"]
        path, sha256 = run / output["path"], str(output["sha256"])
    except (ValueError, KeyError, TypeError):
        return None
    return (path, sha256) if record_path(path) == place else None
