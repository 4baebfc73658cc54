"""Byte streams that are read to their end: plain files, and gzip with every checksum verified.

A reader that stops after the last voxel never sees the gzip trailer, and then most damaged files load
silently. zlib verifies CRC-32 and length when a member ends; `GzipStream` goes on to the end of the last one.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from voxfield.artifacts._files import CHUNK, HashedFile
from voxfield.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
MAX_DEFLATE_RATIO = 1032  # no deflate stream expands further (zlib manual), so a shorter file is truncated


class Stream(Protocol):
    """Bytes front to back."""

    def read(self, limit: int) -> bytes:
        """At least one byte and at most `limit`; none at the sound end of the stream."""
        ...


class PlainStream:
    """The bytes of an uncompressed file."""

    def __init__(self, file: HashedFile) -> None:
        self._file = file

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes."""
        return self._file.read(limit)


class GzipStream:
    """The content of a gzip file of one or several members (RFC 1952); padding zeros after a member are "
    "allowed."""

    def __init__(self, file: HashedFile) -> None:
        self._file = file
        self._pending = b""
        self._engine: zlib._Decompress | None = None
        self.produced = 0

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes of content. Raises InputError where the stream is damaged or cut."""
        while True:
            if self._engine is None and not self._next_member():
                return b""
            block = self._inflate(limit)
            if block:
                self.produced += len(block)
                return block

    def _next_member(self) -> bool:
        pending = self._pending or self._file.read(CHUNK)
        while pending and self.produced and not (pending := pending.lstrip(b"\0")):
            pending = self._file.read(CHUNK)
        if len(pending) == 1:
            pending += self._file.read(CHUNK)
        if pending and not pending.startswith(GZIP_MAGIC):
            raise self._error(
                f"{len(pending)} or more trailing bytes follow the gzip data: two writers shared this file"
            )
        self._pending = pending
        self._engine = zlib.decompressobj(31) if pending else None
        return bool(pending)

    def _inflate(self, limit: int) -> bytes:
        engine = self._engine
        if engine is None:  # read() starts a member first
            return b""
        if not self._pending:
            self._pending = self._file.read(CHUNK)
            if not self._pending:
                raise self._error("the gzip stream is truncated (no end-of-stream trailer)")
        try:
            block = engine.decompress(self._pending, limit)
        except zlib.error as error:
            what = "checksum (crc) or length is wrong" if "check" in str(error) else f"data are corrupt ({error})"
            raise self._error(f"the gzip {what}") from None
        self._pending = engine.unused_data if engine.eof else engine.unconsumed_tail
        if engine.eof:
            self._engine = None
        return block

    def _error(self, what: str) -> InputError:
        message = f"{what}; {self.produced:,} bytes were sound as far as one can tell; copy the file again"
        return InputError(message, file=self._file.origin.path)


def sniff(head: bytes) -> str:
    """What a file seems to be, from its first bytes, for messages."""
    text = head.lstrip()[:64].lower()
    if head.startswith(GZIP_MAGIC):
        return "gzip-compressed data"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer (the data themselves were not fetched)"
    if text.startswith((b"<!doctype html", b"<html")):
        return "an html page"
    return "another format"
