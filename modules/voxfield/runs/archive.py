"""A `.tar.gz` that has the same bytes for the same content: names in order, no times, no owner.

<name>/manifest-sha256.txt   sha256 of every other file, as `sha256sum -c` reads it
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from voxfield.records import hash_file

Member = bytes | Path


def write_archive(target: Path, name: str, members: Mapping[str, Member], manifest: str) -> None:
    """Pack `members` below the folder `name`, with a manifest. The file is there whole or not at all.

    members  path in the archive -> content, or the file that holds it
    manifest  name of the manifest
    """
    lines = [f"{_sha256(members[path])}  {path}\n" for path in sorted(members)]
    whole: dict[str, Member] = {**members, manifest: "".join(lines).encode()}
    partial = target.with_name(f".vf-{target.name}.tmp")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            partial.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in sorted(whole):
                _add(archive, f"{name}/{path}", whole[path])
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, path: str, member: Member) -> None:
    entry = tarfile.TarInfo(path)  # times, owner and group of a new entry are 0 and empty
    entry.mode = 0o644
    stream: BinaryIO = io.BytesIO(member) if isinstance(member, bytes) else member.open("rb")
    with stream:
        entry.size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        archive.addfile(entry, stream)


def _sha256(member: Member) -> str:
    return hashlib.sha256(member).hexdigest() if isinstance(member, bytes) else hash_file(member)[0]
