"""What a run says of itself, or what the export of one says of it: settings, records, numbers, patients.

Both are read into the same `Contents`, so that a run can be compared with the export of another site's.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxfield.batches import REMOVED
from voxfield.errors import InputError
from voxfield.records import record_path
from voxfield.removed import removed_place
from voxfield.runs.folder import SETTINGS, files_of, read_marker, require_run
from voxfield.runs.numbers import numbers_in
from voxfield.runs.patients import patients_of
from voxfield.settings_yaml import load_yaml

COHORT, METRICS, REPORT = "Cohort", "Metrics", "Report"
PLACES = {"cohort": "cohort.tsv", "data": "data", "model": "model.safetensors"}  # settings that name a place
COSTS = ("seed", "device", "threads", "seconds", "peak_memory_mb")  # what else a record says that names nobody
Key = tuple[str, str]  # metrics file, as it is called for every subject, and the dotted name of a number in it
Summary = tuple[float, float | None, int]  # mean over patients, standard deviation, patients


@dataclass(frozen=True, slots=True)
class Input:
    """A file that a stage read; `path` is empty for one from outside the run."""

    name: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """What the record beside one output says, but for words: names of files from elsewhere, messages of findings.

    path      of the output in the run
    subject   whose it is; empty for one of the whole cohort
    settings  as JSON, like packages: many records share one text
    more      `COSTS`, size of the output, codes of the findings
    """

    path: str
    subject: str
    stage: str
    version: int
    code: str
    kind: str
    sha256: str
    settings: str
    packages: str
    inputs: tuple[Input, ...]
    more: Mapping[str, Any]


@dataclass(frozen=True)
class Contents:
    """One run, or the export of one.

    name      of its folder
    config    its settings; places on the machine are replaced by names
    records   by the path of the output
    patients  subject -> patient
    private   whether pseudonyms stand for whom the scans are of; `withheld` are settings that were left out with them,
              `hidden` the ids
    origins   path of a record -> where the file really lies, where that is another
    values    path of a metrics file -> its numbers, in an export; a run's are read when they are asked for
    summary   what an export without results says of the numbers of its subjects
    """

    name: str
    pipeline: str
    config: Mapping[str, Any]
    records: Mapping[str, Record]
    patients: Mapping[str, str]
    folder: Path
    private: bool = False
    withheld: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    origins: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, float]] | None = None
    summary: Mapping[Key, Summary] = field(default_factory=dict)

    @property
    def subjects(self) -> list[str]:
        """Everybody of whom there is a record."""
        return sorted({record.subject for record in self.records.values()} - {""})

    def place(self, path: str) -> Path:
        """Where the output of a record lies."""
        return self.folder / self.origins.get(path, path)

    def numbers(self, path: str) -> Mapping[str, float]:
        """The numbers of a metrics file by their dotted names."""
        if self.values is not None:
            return self.values.get(path, {})
        place = self.place(path)
        if removed_place(place).is_file():
            return {}
        if not place.is_file():
            raise InputError("is gone although its record is there; run again", file=place)
        found = numbers_in(json.loads(place.read_text(encoding="utf-8")))
        return {name: value for name, value in found if self.hidden.isdisjoint(name.split("."))}


def contents_of_run(run: Path) -> Contents:
    """Read a run folder. Raises InputError where it is none."""
    require_run(run)
    raw = dict(_raw_records(run))
    config = load_yaml(run / SETTINGS) if (run / SETTINGS).is_file() else {}
    tables = [run / path for path, record in raw.items() if record["output"]["kind"] == COHORT]
    told = patients_of([*tables, *([Path(config["cohort"])] if isinstance(config.get("cohort"), str) else [])])
    subjects = {*told, *(name for path in raw if (name := _folder_subject(path)))}
    shared: dict[str, str] = {}
    records = {path: _record(path, record, raw, subjects, shared) for path, record in raw.items()}
    found = {record.subject for record in records.values()} - {""}
    patients = {subject: told.get(subject) or subject for subject in found}
    pipeline = str(read_marker(run).get("pipeline", ""))
    return Contents(run.resolve().name, pipeline, portable(config), records, patients, run)


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without places on this machine: those of the data get names, other absolute paths lose their folder."""
    return {key: PLACES[key] if key in PLACES and value else _bare(value) for key, value in config.items()}


def subject_of(path: str, subjects: Collection[str]) -> str:
    """Whose a file is: a folder `sub-<subject>`, or a part of its path that is named like a subject."""
    *folders, name = path.split("/")
    return next((part for part in (_folder_subject(path), *folders, name.partition(".")[0]) if part in subjects), "")


def _folder_subject(path: str) -> str:
    head, slash, _ = path.partition("/")
    return head.removeprefix("sub-") if slash and head.startswith("sub-") else ""


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _bare(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_bare(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _raw_records(run: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for place in files_of(run):
        content = _json_of(place) if place.name.endswith((".json", REMOVED)) else None
        record = content.get("voxfield") if isinstance(content, dict) else None
        path = record.get("output", {}).get("path") if isinstance(record, dict) else None
        if (
            isinstance(record, dict)
            and isinstance(path, str)
            and place in (record_path(run / path), removed_place(run / path))
        ):
            yield path, record


def _json_of(place: Path) -> Any:
    try:
        return json.loads(place.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _record(
    path: str, record: Mapping[str, Any], run: Collection[str], subjects: Collection[str], shared: dict[str, str]
) -> Record:
    def once(value: Any) -> str:
        text = json.dumps(value, sort_keys=True)
        return shared.setdefault(text, text)

    output = record["output"]
    inputs = tuple(
        Input(name, one["path"] if one["path"] in run else "", one["sha256"])
        for name, given in record["inputs"].items()
        for one in (given if isinstance(given, list) else [given] if given else [])
    )
    more = {name: record[name] for name in COSTS if name in record}
    more |= {"bytes": output["bytes"], "findings": sorted({finding["code"] for finding in record["findings"]})}
    return Record(
        path, subject_of(path, subjects), record["stage"], int(record["version"]), str(record["code"]),
        output["kind"], output["sha256"], once(record["settings"]), once(record["packages"]), inputs, more,
    )  # fmt: skip
