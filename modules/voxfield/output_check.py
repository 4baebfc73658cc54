"""`voxfield check --as output`: is a file what was written beside it, and did nobody stop halfway?"""

from __future__ import annotations

from pathlib import Path

from voxfield.artifacts._files import open_origin
from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.records import hash_file, stated_sha256


def check_output(path: Path, findings: Findings) -> str:
    """Judge a file as the output of a stage: it has a record, and is what the record says."""
    if not path.is_dir():
        open_origin(path)
    require_agreement(path, hash_file(path)[0], recorded=True)
    note_left_behind(path, findings)
    return "output that agrees with its record"


def require_agreement(path: Path, sha256: str, *, recorded: bool) -> None:
    """Raise InputError where a file of that hash is not what its record, or somebody's sidecar, states.

    recorded  whether it is an error that nothing is stated
    """
    stated = stated_sha256(path)
    if stated is None and recorded:
        raise InputError("its record is missing, as if its job was killed before it ended; make it anew", file=path)
    if stated is not None and stated != sha256:
        raise InputError(
            f"was changed after it was written: sha256 mismatch, found {sha256[:12]}, its record says {stated[:12]}; "
            "remove both to make it anew",
            file=path,
        )


def note_left_behind(path: Path, findings: Findings) -> None:
    """Tell of hidden files named after this one: temporary files of a process that was killed, or of a copy."""
    for other in sorted(path.parent.glob(f".{_literal(path.name)}.*")):
        message = f"a temporary file was left beside it, {other.name}: whatever wrote it did not finish (stale?)"
        findings.add("left-over", "warning", message, file=path, value=other.name)


def _literal(name: str) -> str:
    """A name for `glob`, which matches nothing but itself."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
