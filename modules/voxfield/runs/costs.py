"""What the jobs of a run have cost, by their records: CPU, time, memory, bytes, files; by stage and scan."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxfield.batches import REMOVED
from voxfield.paths import RUN_MARKER
from voxfield.runs.folder import OWN_FOLDERS, files_of


@dataclass
class Job:
    """One call of a stage.

    subject    the scan that it is about, empty where it is about the whole cohort
    names      of the files that it made, as they are called
    sizes      their bytes, in the same order; records apart
    files      how many there are on disk with their records
    """

    stage: str
    subject: str
    cpu_s: float
    wall_s: float
    memory_mb: float
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    files: int = 0


@dataclass(frozen=True)
class Costs:
    """What a run has cost.

    jobs        calls of stages
    scans       subjects that it finished something about
    frame_cpu_s CPU seconds of the run outside of stages: starts, reading of packages, Snakemake; None if not known
    own_files   files that the run itself wrote: logs, tables of batches, Snakemake's notes
    own_bytes   their bytes
    """

    jobs: list[Job]
    scans: list[str]
    frame_cpu_s: float | None
    own_files: int
    own_bytes: int


def costs_of(run: Path) -> Costs:
    """Read all records of a run."""
    cohort = run / "batches" / "cohort.json"
    known = set(json.loads(cohort.read_text())["subjects"]) if cohort.is_file() else set()
    jobs: dict[str, Job] = {}
    for record, files in _records(run):
        path = Path(record["output"]["path"])
        job = jobs.setdefault(f"{record['stage']} {record['key']}", _job(record, _subject(path, known)))
        job.names.append(path.name)
        job.sizes.append(int(record["output"]["bytes"]))
        job.files += files
    own = [file for name in OWN_FOLDERS for file in (run / name).rglob("*") if file.is_file()]
    found = list(jobs.values())
    return Costs(
        found,
        sorted({job.subject for job in found if job.subject}),
        _frame(run, found),
        len(own),
        sum(file.stat().st_size for file in own),
    )


def _records(run: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Every record with the number of files of its artifact and itself; of what was let go only the record is left."""
    for place in files_of(run):
        if place.suffix == ".json" or place.name.endswith(REMOVED):
            try:
                content = json.loads(place.read_text())
                record = content["voxfield"] if isinstance(content, dict) else None
            except (ValueError, KeyError):
                continue
            if record:
                made = run / record["output"]["path"]
                inside = sum(1 for file in made.rglob("*") if file.is_file()) if made.is_dir() else 1
                yield record, 1 + inside


def _job(record: dict[str, Any], subject: str) -> Job:
    seconds = record["seconds"]
    memory = max(record["peak_memory_mb"].values())
    return Job(record["stage"], subject, seconds["cpu"], seconds["wall"], memory)


def _subject(path: Path, known: set[str]) -> str:
    """The scan that a file of a run is about."""
    for part in path.parts:
        name = part.removeprefix("sub-").partition(".")[0]
        if name in known or (part.startswith("sub-") and len(path.parts) > 1):
            return name
    return ""


def _frame(run: Path, jobs: list[Job]) -> float | None:
    marker = run / RUN_MARKER
    spent = json.loads(marker.read_text()).get("seconds") if marker.is_file() else None
    return max(0.0, spent["cpu"] - sum(job.cpu_s for job in jobs)) if spent else None
