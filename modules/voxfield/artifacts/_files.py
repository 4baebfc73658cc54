"""Opening files: only regular ones that hold something, hashed while they are read."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from voxfield.artifacts._base import DEFAULT_LIMITS, Limits, Origin
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

CHUNK = 1 << 18


def open_origin(path: str | Path) -> Origin:
    """Look at a file without opening it. Raises InputError unless it is a regular file with at least one "
    "byte."""
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        what = "broken link: no such file behind it" if path.is_symlink() else "no such file"
        raise InputError(f"{what}; check the path", file=path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"can not be opened: {_reason(error)}", file=path) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a directory; expected a file", file=path)
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is not a regular file (a pipe, socket or device); expected a file", file=path)
    if status.st_size == 0:
        raise InputError("is empty (0 bytes): whatever wrote it did not finish; make it anew", file=path)
    return Origin(path, status.st_size)


class HashedFile:
    """A file read front to back; every byte goes through sha256 on the way."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._sha256 = hashlib.sha256()
        try:
            self._stream = origin.path.open("rb", buffering=0)
        except OSError as error:
            raise InputError(f"can not be opened: {_reason(error)}", file=origin.path) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; fewer only at the end of the file."""
        blocks = []
        while count > 0:
            try:
                block = self._stream.read(count)
            except OSError as error:
                raise InputError(f"can not be read: {_reason(error)}", file=self.origin.path) from None
            if not block:
                break
            self._sha256.update(block)
            blocks.append(block)
            count -= len(block)
        return b"".join(blocks)

    def finish(self) -> None:
        """Read what is left, and tell the origin the hash of the whole file."""
        while self.read(CHUNK):
            pass
        self.origin.digest = self._sha256.hexdigest()


def read_bytes(origin: Origin, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The whole of a file that is read in one piece; its hash is then known. Raises InputError for a large one."""
    with HashedFile(origin) as file:
        size = os.fstat(file._stream.fileno()).st_size
        if size > limits.max_text_bytes:
            message = f"has {size:,} bytes, over the limit of {limits.max_text_bytes:,} for a file of its kind"
            raise InputError(f"{message}; raise --max-voxels (4 a byte) if that is meant", file=origin.path)
        content = file.read(size)
        file.finish()
    return content


def read_text(origin: Origin, limits: Limits = DEFAULT_LIMITS) -> str:
    """The whole of a text file, UTF-8 with or without byte-order mark, line ends as `\\n`."""
    raw = read_bytes(origin, limits)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"line {line} is not UTF-8 (byte 0x{raw[error.start]:02x}); save it in the encoding UTF-8",
            file=origin.path,
        ) from None
    text = text.replace("\r\n", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"line {line} holds a NUL character; expected text", file=origin.path)
    return text


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]
