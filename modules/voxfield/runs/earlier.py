"""A result that the run before has made of the very same inputs, settings and code is taken instead of computed.

A run of other settings begins with the results of an older one (`link`). What may follow from the change is run again,
and where a job finds its inputs unchanged after all, down to the bytes, what it would compute is there: the key in the
old record says so, and the hash says that it is unharmed. It is copied, since Snakemake sets the time of what a job
made, and the older run shall not change. What jobs of a killed run finished is taken in the same way (`kept`).
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxfield.artifacts import Report
from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.paths import run_folder
from voxfield.records import hash_file, read_record
from voxfield.runs.folder import read_marker
from voxfield.runs.kept import KEPT


@dataclass(frozen=True)
class Earlier:
    """One output of the older run; it is saved like an artifact."""

    source: Path
    kind: str
    unit: str | None

    @property
    def suffix(self) -> str:
        """The ending of its name."""
        return "".join(self.source.suffixes[-2:]) if self.source.suffix == ".gz" else self.source.suffix

    def save(self, path: Path) -> None:
        """Copy it."""
        if self.source.is_dir():
            shutil.copytree(self.source, path)
        else:
            shutil.copyfile(self.source, path)


@dataclass(frozen=True)
class Taken:
    """The outputs of a call in the older run, and what their records share."""

    outputs: Mapping[str, Earlier]
    common: Mapping[str, Any]

    @property
    def findings(self) -> Findings:
        """What was found when they were made."""
        found = Findings()
        for told in self.common["findings"]:
            found.add(**told)
        return found


def made_earlier(outputs: Mapping[str, Path], key: str, device: str) -> Taken | None:
    """All outputs of a call with this key, laid by in their run or from the one that it began with.

    device  as given

    None where one of them is not there, or harmed.
    """
    run = run_folder(next(iter(outputs.values())))
    if not run:
        return None
    origin = read_marker(run).get("origin")
    places = [run / KEPT, *([run.with_name(origin)] if origin else [])]
    found = (_taken(place, run, outputs, key, device) for place in places if place.is_dir())
    return next((taken for taken in found if taken), None)


def _taken(place: Path, run: Path, outputs: Mapping[str, Path], key: str, device: str) -> Taken | None:
    found: dict[str, Earlier] = {}
    common: dict[str, Any] = {}
    for name, path in outputs.items():
        source = place / path.resolve().relative_to(run)
        record = _sound_record(source)
        if record is None or record.get("key") != key or not _counts(record, device):
            return None
        found[name] = Earlier(source, record["output"]["kind"], record.get("unit"))
        common = {entry: value for entry, value in record.items() if entry not in {"output", "unit"}}
    return Taken(found, common)


def _counts(record: Mapping[str, Any], device: str) -> bool:
    """Whether the key says all. Pages follow from templates too, and who names a device wants it to have computed."""
    return record["output"]["kind"] != Report.kind and device.partition(":")[0] in {"auto", record["device"]}


def _sound_record(source: Path) -> dict[str, Any] | None:
    try:
        record = read_record(source) if source.exists() else None
    except InputError:
        return None
    return record if record and hash_file(source)[0] == record["output"]["sha256"] else None
