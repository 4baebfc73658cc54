"""Look a finished run over: are its files what their records say, and where is its report?"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from voxfield.errors import CohortError, InputError
from voxfield.findings import Finding
from voxfield.paths import RUN_MARKER
from voxfield.records import hash_file, record_path

OWN_FOLDERS = frozenset({".snakemake", "batches", "failures", "logs"})  # written by the run itself: no artifacts
ARTIFACTS = (".graphml", ".json", ".nii.gz", ".safetensors", ".swc", ".tsv", ".vtp")


def verify_run(run: Path) -> int:
    """Hash every recorded file anew, and look for files that no record speaks of.

    Raises InputError naming each file that differs from its record or has none. Temporary files that a kill left
    behind are told and harm nothing.
    """
    _require_run(run)
    files = list(_files(run))
    records = dict(found for file in files if (found := _record(file, run)))
    for file in files:
        if file.name.startswith("."):
            message = "a temporary file left by a job that was killed; the next `voxfield run` removes it"
            sys.stderr.write(f"{Finding('left-over', 'warning', message, str(file.relative_to(run)))}\n")
    bad = [f"{path.relative_to(run)}: {fault}" for path, sha256 in records.items() if (fault := _fault(path, sha256))]
    bad += [
        f"{path.relative_to(run)}: its record is missing, as if its job was killed; remove it and run again"
        for path in _unrecorded(files, records)
    ]
    if bad:
        listing = "\n".join(sorted(bad))
        raise InputError(f"{len(bad)} files differ from their records or have none\n{listing}", file=run)
    sys.stdout.write(f"{len(records)} files agree with their records\n")
    return 0


def report_run(run: Path) -> int:
    """Print where the report is and which subjects failed; raises CohortError when some did."""
    _require_run(run)
    page = run / "report" / "index.html"
    sys.stdout.write(f"{page}\n" if page.is_file() else "no report yet; `voxfield run` makes it\n")
    failed = failures(run)
    if failed:
        raise CohortError(failure_text(failed))
    return 0


def failures(run: Path) -> list[dict[str, str]]:
    """The failures that the jobs of a run left behind: subject, stage, reason, log."""
    return [json.loads(file.read_text()) for file in sorted((run / "failures").glob("*.json"))]


def failure_text(failed: list[dict[str, str]]) -> str:
    """One line per failure."""
    lines = [f"{f['subject'] or 'cohort'}: {f['stage']}: {f['reason']} (log: {f['log']})" for f in failed]
    return f"{len(failed)} job(s) failed; everything that does not depend on them is finished\n" + "\n".join(lines)


def _require_run(run: Path) -> None:
    if not (run / RUN_MARKER).is_file():
        raise InputError(f"is no run folder: it holds no {RUN_MARKER}; name the folder of a run", file=run)


def _files(run: Path) -> Iterator[Path]:
    """The files of a run but for what the run itself writes and the checkpoints of stages that are to go on."""
    for folder, inside, names in os.walk(run):
        own = OWN_FOLDERS if Path(folder) == run else frozenset()
        inside[:] = sorted(name for name in inside if name not in own and not name.endswith(".work"))
        yield from (Path(folder, name) for name in sorted(names) if name != RUN_MARKER)


def _record(place: Path, run: Path) -> tuple[Path, str] | None:
    """The artifact that a record in `place` speaks of and its sha256; None where the file is no record."""
    if place.suffix != ".json":
        return None
    try:
        output = json.loads(place.read_text())["voxfield"]["output"]
        path, sha256 = run / output["path"], str(output["sha256"])
    except (ValueError, KeyError, TypeError):
        return None
    return (path, sha256) if record_path(path) == place else None


def _fault(path: Path, expected: str) -> str | None:
    if not path.exists():
        return "is gone although its record is there; run again"
    found = hash_file(path)[0]
    return None if found == expected else f"found sha256 {found[:12]}, its record says {expected[:12]}; run again"


def _unrecorded(files: list[Path], records: Mapping[Path, str]) -> list[Path]:
    """Files named like artifacts that are no record, have none, and lie in no recorded folder, such as a page."""
    known = {*records, *(record_path(path) for path in records)}
    return [
        file
        for file in files
        if file.name.endswith(ARTIFACTS)
        and not file.name.startswith(".")
        and file not in known
        and known.isdisjoint(file.parents)
    ]
