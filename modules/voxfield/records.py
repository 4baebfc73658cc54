"""The record beside every output: what it was made of, by what, with which settings, and what was found on the way.

Beside `x.nii.gz` stands `x.json`, beside any other file its full name plus `.json`. The record lives under the key
`voxfield`, so that a sidecar of somebody else is never mistaken for one. It holds no absolute path, host, user or date.
"""

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from voxfield.artifacts._strict_json import parse_json
from voxfield.errors import InputError
from voxfield.paths import is_file, resolved, run_folder

SCHEMA = 1
OLDEST_SCHEMA = 1  # a release reads the last two schema numbers; there is only one so far
PACKAGES = ("voxfield", "numpy", "scipy", "torch", "monai", "gpytorch", "nibabel", "scikit-image", "pyamg")
CHUNK = 1 << 20
KEY = "voxfield"
SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def record_path(path: Path) -> Path:
    """Where the record of an artifact stands."""
    name = path.name
    if name.endswith(".nii.gz"):
        return path.with_name(f"{name.removesuffix('.nii.gz')}.json")
    return path.with_name(f"{name}.json")


def read_record(path: Path) -> dict[str, Any] | None:
    """The record of the artifact at `path`; None where there is none or the JSON beside it is somebody else's."""
    place = record_path(path)
    if not is_file(place) or place == path:
        return None
    try:
        text = place.read_bytes()
        content = json.loads(text)
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"the record is unreadable ({error}); remove it or make the file anew", file=place) from None
    if not isinstance(content, dict) or content.get(KEY) is None:
        return None
    record = parse_json(text, place, what="the record")[KEY]
    fault = _fault(record)
    if fault:
        raise InputError(fault, file=place)
    return dict(record)


def _fault(record: Any) -> str | None:
    """Why a record can not be used; None where it can."""
    found = record.get("schema") if isinstance(record, dict) else None
    if type(found) is not int or not OLDEST_SCHEMA <= found <= SCHEMA:
        return f"record schema {str(found)[:40]!r}; this release reads {OLDEST_SCHEMA} to {SCHEMA}"
    output = record.get("output")
    sha256 = output.get("sha256") if isinstance(output, dict) else None
    if not isinstance(sha256, str) or not SHA256.match(sha256):
        return "the record does not say the sha256 of its file; remove it and make the file anew"
    return None


def sidecar_sha256(path: Path) -> str | None:
    """The hash that a sidecar of somebody else states about its file; None where there is none that does."""
    place = record_path(path)
    if place == path or not is_file(place):
        return None
    sidecar = json.loads(place.read_bytes())
    stated = sidecar.get("sha256") if isinstance(sidecar, dict) else None
    return stated if isinstance(stated, str) and SHA256.match(stated) else None


def key_of(record: Mapping[str, Any]) -> str:
    """Hash of everything that a result follows from: inputs, settings, seed, version and code."""
    content = {name: record[name] for name in ("stage", "version", "code", "settings", "seed")}
    content["inputs"] = {
        name: [d["sha256"] for d in value] if isinstance(value, list) else value and value["sha256"]
        for name, value in record["inputs"].items()
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def hash_file(path: Path) -> tuple[str, int]:
    """sha256 and size of a file, or of a folder's files taken in the order of their names."""
    digest = hashlib.sha256()
    size = 0
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            part, count = hash_file(file)
            digest.update(f"{file.relative_to(path).as_posix()} {part}\n".encode())
            size += count
        return digest.hexdigest(), size
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def describe_file(path: Path, sha256: str, size: int, *, seen_from: Path) -> dict[str, Any]:
    """Name, hash and size of a file. The path is told only inside a run folder, relative to it.

    An input that is a folder, a DICOM series, has no name at all: such folders are called after patients.
    """
    folder = run_folder(path)
    if folder is not None and folder == run_folder(seen_from):
        name = resolved(path).relative_to(folder).as_posix()
    else:
        name = "folder" if path.is_dir() and path != seen_from else path.name
    return {"path": name, "sha256": sha256, "bytes": size}


@cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def forget_peak_memory() -> None:
    """Let the peak of this process begin anew, so that of several stages in one process each has its own; on Linux."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> dict[str, float]:
    """Peak memory of this process since `forget_peak_memory`, and of its GPU when torch has used one."""
    peak = {"host": round(_peak_resident_mb(), 1)}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        peak["gpu"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return peak


def _peak_resident_mb() -> float:
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count the peak of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource

    scale = 1024 if sys.platform != "darwin" else 1024 * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def save_record(place: Path, record: Mapping[str, Any]) -> None:
    """Write a record to `place` and flush it to disk."""
    text = json.dumps({KEY: record}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    with place.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
