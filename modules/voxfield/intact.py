"""Inputs that are what their records say: read, judged, and compared with the record beside them.

Inside a run folder every file that a stage reads was made by one before it. One that is gone, lost its record or
disagrees with it was damaged since, and `voxfield run` makes it anew (`runs/mend.py`). Outside of run folders nobody
can: the error says what is wrong.
"""

from pathlib import Path
from typing import TypeVar

from voxfield.artifacts import Artifact, Limits
from voxfield.errors import DamagedError, InputError
from voxfield.findings import Findings
from voxfield.paths import is_file, is_folder, resolved, run_folder
from voxfield.records import hash_file, read_record, sidecar_sha256
from voxfield.runs.folder import OWN_FOLDERS

A = TypeVar("A", bound=Artifact)


def load_intact(kind: type[A], path: Path, limits: Limits | None = None, findings: Findings | None = None) -> A:
    """Read and check a file. Raises DamagedError or InputError.

    The hash is that of the bytes that were read: nothing comes between the look and the use.
    """
    found = Findings() if findings is None else findings
    try:
        artifact = kind.load(path, limits=limits or Limits(), findings=found)
        artifact.check(found)
    except InputError:
        # Either a stage wrote what this one refuses, or it was damaged since.
        if _made_by_run(path):
            agree(path, _sha256(path))
        raise
    if artifact.origin is not None:
        agree(artifact.origin.path, artifact.origin.sha256)
    return artifact


def agree(path: Path, sha256: str | None) -> None:
    """Compare a file with its record, or with what somebody else's sidecar states; `sha256` is None without a file."""
    inside = _made_by_run(path)
    try:
        record = read_record(path)
    except InputError as error:
        if inside:
            raise DamagedError(f"its record can not be read ({error.message})", file=path) from None
        raise
    if sha256 is None:
        raise DamagedError("is gone from the run folder", file=path)
    if record is None and inside:
        raise DamagedError("has no record although it lies in a run folder", file=path)
    written = sidecar_sha256(path) if record is None else record["output"]["sha256"]
    if written is not None and written != sha256:
        found = f"sha256 mismatch, found {sha256[:12]}, its record says {written[:12]}"
        message = f"was changed after it was written: {found}"
        if inside:
            raise DamagedError(message, file=path)
        raise InputError(f"{message}; remove both to make it anew", file=path)


def _made_by_run(path: Path) -> bool:
    """Whether a file lies among the results of a run."""
    run = run_folder(path)
    return run is not None and resolved(path).relative_to(run).parts[0] not in OWN_FOLDERS


def _sha256(path: Path) -> str | None:
    """The hash of what lies there, None where nothing does; a pipe or a device is nothing that a stage wrote."""
    if is_file(path) or is_folder(path):
        return hash_file(path)[0]
    return "none" if path.exists() else None
