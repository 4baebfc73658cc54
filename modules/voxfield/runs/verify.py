"""Look a finished run over: are its files what their records say?"""

import sys
from collections.abc import Mapping
from pathlib import Path

from voxfield.errors import InputError
from voxfield.findings import Finding
from voxfield.records import hash_file, record_path
from voxfield.runs.folder import files_of, recorded_output, require_run

ARTIFACTS = (".graphml", ".json", ".nii.gz", ".safetensors", ".swc", ".tsv", ".vtp")


def verify_run(run: Path) -> int:
    """Hash every recorded file anew, and look for files that no record speaks of.

    Raises InputError naming each file that differs from its record or has none. Temporary files that a kill left
    behind are told and harm nothing.
    """
    require_run(run)
    files = list(files_of(run))
    records = dict(found for file in files if (found := recorded_output(file, run)))
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
