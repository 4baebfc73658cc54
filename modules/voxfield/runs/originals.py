"""Files that a run was given from outside: records tell their names and hashes, but not where they lie."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxfield.errors import InputError
from voxfield.records import hash_file
from voxfield.runs.folder import SETTINGS


class Originals:
    """Inputs of the jobs of a run, looked for in the run and where its configuration and its table of scans point."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._places = list(dict.fromkeys(_places(run)))

    def find(self, described: Mapping[str, Any]) -> Path:
        """The file that a record describes, as seen from the run; InputError where none has its hash."""
        inside = Path(described["path"])
        candidates = [inside, *self._outside(inside.name)]
        for path in candidates:
            there = self._run / path
            if there.exists() and hash_file(there)[0] == described["sha256"]:
                return path
        raise InputError(f"input {inside.name} with sha256 {described['sha256'][:12]} was not found")

    def _outside(self, name: str) -> Iterator[Path]:
        for place in self._places:
            if place.is_dir():
                yield from place.rglob(name)
            elif place.name == name:
                yield place


def _places(run: Path) -> Iterator[Path]:
    from voxfield.settings_yaml import load_yaml
    from voxfield.workflow import cohort_rows

    settings = load_yaml(run / SETTINGS) if (run / SETTINGS).is_file() else {}
    table = settings.get("cohort")
    if isinstance(table, str) and Path(table).is_file():
        yield from (Path(value) for row in cohort_rows(table).values() for value in row.values() if "/" in value)
    yield from (Path(text) for text in _texts(settings) if text.startswith("/") and Path(text).exists())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
