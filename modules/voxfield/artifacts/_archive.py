"""Archives are no artifacts: what is in one may lie outside the folder, be a link or a device, and grow without end."""

from __future__ import annotations

from pathlib import Path

from voxfield.errors import InputError

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z")
ZIP, SEVEN_ZIP = b"PK", b"7z\xbc\xaf"
TAR, TAR_PLACE = b"ustar", 257
HEAD = TAR_PLACE + len(TAR)


def refuse_archive(path: Path, head: bytes) -> None:
    """Raise InputError for an archive, by its name or its first `HEAD` bytes."""
    tar = head[TAR_PLACE:].startswith(TAR)
    if path.name.lower().endswith(SUFFIXES) or head.startswith((ZIP, SEVEN_ZIP)) or tar:
        raise InputError(
            "is an archive (zip, tar), which is refused: its members may lie outside the folder, be links or special "
            "(device) files, and exceed any size limit (unsafe); unpack it with a tool you trust and name the files",
            file=path,
        )
