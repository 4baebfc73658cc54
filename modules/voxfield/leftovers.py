"""What somebody left beside a file: temporary files of a process that was killed, or of a copy that is under way."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from voxfield.findings import Findings


def note_leftovers(paths: Iterable[Path], findings: Findings) -> None:
    """Tell of hidden files that are named after one of the files, such as `.x.nii.gz.tmp-123` of `x.nii.gz`."""
    folders: dict[Path, dict[str, Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, {})[path.name] = path
    for folder, files in folders.items():
        for hidden in _hidden(folder):
            owner = next((files[name] for name in _owners(hidden) if name in files), None)
            if owner is not None:
                message = f"a temporary file was left beside it, {hidden}: whatever wrote it did not finish"
                findings.add("left-over", "warning", message, file=owner, value=hidden)


def _hidden(folder: Path) -> list[str]:
    try:
        return sorted(other.name for other in folder.iterdir() if other.name.startswith("."))
    except OSError:  # a folder that may be entered and not listed
        return []


def _owners(hidden: str) -> Iterable[str]:
    """Names of which a hidden file may be the temporary one: `.a.b.c` of `a.b` and `a`, longest first."""
    parts = hidden[1:].split(".")
    return (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
