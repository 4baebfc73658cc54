"""Which participant, session and run of BIDS a subject of a run is."""

import csv
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from voxfield.cohorts.ids import plain_name
from voxfield.runs.derivative_names import alphanumeric

RUN = re.compile(r"run-?0*([0-9]+)\Z")


@dataclass(frozen=True)
class Scan:
    """Entities of one scan.

    folder    `sub-01/ses-a/anat`
    entities  `sub-01_ses-a_run-2`, what the names of its files begin with
    site      where it was made, if the table says so
    """

    folder: str
    entities: str
    site: str = ""

    @property
    def participant(self) -> str:
        """`sub-01`."""
        return self.folder.partition("/")[0]


def scans_of(subjects: Collection[str], table: Path | None) -> dict[str, Scan]:
    """A scan for every subject.

    Patient and session of the cohort table become `sub` and `ses`. What the subject's id says beyond them tells scans
    of one session apart: `run-2` is a run, anything else an acquisition. Without a table every subject is a
    participant. Where two names would become one label, since labels hold letters and digits only, each gets four
    digits of its own hash. No two scans have the same entities.
    """
    rows = _rows(table) if table is not None and table.is_file() else {}
    told = {subject: rows.get(subject, {}) for subject in subjects}
    patients = _labels({row.get("patient") or subject for subject, row in told.items()})
    sessions = _labels({row["session"] for row in told.values() if row.get("session")})
    found = {}
    for subject, row in told.items():
        patient, session = row.get("patient") or subject, row.get("session", "")
        place = [f"sub-{patients[patient]}", *([f"ses-{sessions[session]}"] if session else [])]
        entities = "_".join([*place, *_part(subject, patient, session)])
        found[subject] = Scan("/".join([*place, "anat"]), entities, row.get("site", ""))
    return _apart(found)


def _part(subject: str, patient: str, session: str) -> list[str]:
    """What a subject's id says beyond patient and session."""
    known = [word for name in (patient, session) if name for word in plain_name(name).split("-")]
    words = subject.split("-")
    rest = "-".join(words[len(known) :] if words[: len(known)] == known else words)
    run = RUN.match(rest)
    if run:
        return [f"run-{run[1]}"]
    return [f"acq-{alphanumeric(rest)}"] if alphanumeric(rest) else []


def _labels(names: Iterable[str]) -> dict[str, str]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[alphanumeric(plain_name(name)).lower()].append(name)
    return {
        name: alphanumeric(plain_name(name)) + (sha256(name.encode()).hexdigest()[:4] if len(group) > 1 else "")
        for group in groups.values()
        for name in group
    }


def _apart(scans: Mapping[str, Scan]) -> dict[str, Scan]:
    """Scans whose entities would be alike get an acquisition of their own, made from the subject's id."""
    groups: dict[str, list[str]] = defaultdict(list)
    for subject, scan in scans.items():
        groups[scan.entities.lower()].append(subject)
    found = dict(scans)
    for subjects in groups.values():
        if len(subjects) > 1:
            for subject in subjects:
                scan, own = scans[subject], sha256(subject.encode()).hexdigest()[:8]
                place, run, number = scan.entities.partition("_run-")  # the specification puts acq before run
                place += own if "_acq-" in place else f"_acq-{own}"
                found[subject] = Scan(scan.folder, f"{place}{run}{number}", scan.site)
    return found


def _rows(table: Path) -> dict[str, dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    kept = [{name: value for name, value in row.items() if value and value != "n/a"} for row in rows]
    return {row["subject"].removeprefix("sub-"): row for row in kept if "subject" in row}
