"""Reading the export of a run, unpacked: see `export` for what lies in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxfield.errors import InputError
from voxfield.records import hash_file
from voxfield.runs.contents import Contents, Input, Record
from voxfield.runs.folder import SETTINGS
from voxfield.settings_yaml import load_yaml

ABOUT, RECORDS, NUMBERS, SUMMARY, SUBJECTS = (
    "export.json", "records.jsonl", "numbers.jsonl", "summary.jsonl", "subjects.jsonl"
)  # fmt: skip
MANIFEST = "manifest-sha256.txt"
SCHEMA = 1


def is_export(folder: Path) -> bool:
    """Whether an export was unpacked here."""
    return (folder / ABOUT).is_file() and (folder / MANIFEST).is_file()


def contents_of_export(folder: Path) -> Contents:
    """Read an unpacked export. Raises InputError for a file that is not what the manifest says."""
    _require_sound(folder)
    try:
        return _contents(folder)
    except (KeyError, TypeError, ValueError) as error:
        message = f"lacks what an export holds ({type(error).__name__}: {error}); export the run again"
        raise InputError(message, file=folder) from None


def _contents(folder: Path) -> Contents:
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    if about.get("schema") != SCHEMA:
        raise InputError(f"export schema {about.get('schema')!r}; this release reads {SCHEMA}", file=folder / ABOUT)
    records = (_record(entry) for entry in _lines(folder / RECORDS))
    return Contents(
        folder.resolve().name, about["pipeline"], load_yaml(folder / SETTINGS),
        {record.path: record for record in records},
        {entry["subject"]: entry["patient"] for entry in _lines(folder / SUBJECTS)},
        folder, private=about["pseudonyms"], withheld=tuple(about["withheld"]),
        values={entry["path"]: entry["numbers"] for entry in _lines(folder / NUMBERS)},
        summary={
            (e["file"], e["name"]): (e["mean"], e["sd"], e["patients"]) for e in _lines(folder / SUMMARY)
        } if about["with"] == "records" else {},
    )  # fmt: skip


def record_entry(record: Record) -> dict[str, Any]:
    """A record as one line of `records.jsonl`."""
    return {
        "path": record.path, "subject": record.subject, "stage": record.stage, "version": record.version,
        "code": record.code, "kind": record.kind, "sha256": record.sha256, "settings": json.loads(record.settings),
        "packages": json.loads(record.packages),
        "inputs": [{"name": i.name, "path": i.path, "sha256": i.sha256} for i in record.inputs], **record.more,
    }  # fmt: skip


def _record(entry: dict[str, Any]) -> Record:
    words = {name: entry.pop(name) for name in ("path", "subject", "stage", "version", "code", "kind", "sha256")}
    settings, packages = (json.dumps(entry.pop(name), sort_keys=True) for name in ("settings", "packages"))
    inputs = tuple(Input(**one) for one in entry.pop("inputs"))
    return Record(**words, settings=settings, packages=packages, inputs=inputs, more=entry)


def _lines(place: Path) -> Iterator[dict[str, Any]]:
    with place.open(encoding="utf-8") as stream:
        yield from (json.loads(line) for line in stream)


def _require_sound(folder: Path) -> None:
    for line in (folder / MANIFEST).read_text(encoding="utf-8").splitlines():
        sha256, name = line.split("  ", 1)
        place = folder / name
        if not place.is_file():
            raise InputError("is gone although the manifest of the export lists it; unpack it again", file=place)
        if hash_file(place)[0] != sha256:
            raise InputError(f"is not what the manifest says ({sha256[:12]}); unpack the export again", file=place)
