"""A NIfTI file: opened and judged at once, its voxels read to the end of the stream when they are needed."""

from __future__ import annotations

import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import Inspection, Limits, Origin
from voxfield.artifacts._files import HashedFile, open_origin
from voxfield.artifacts._nifti._header import Header, read_header, read_up_to
from voxfield.artifacts._nifti._stream import GZIP_MAGIC, GzipStream, PlainStream, Stream, sniff
from voxfield.findings import Findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCK = 1 << 20


class NiftiFile:
    """One file on disk.

    origin  where it lies; knows the sha256 once the voxels were read
    header  its header, judged
    """

    def __init__(self, path: str | Path, limits: Limits, findings: Findings) -> None:
        self.origin: Origin = open_origin(path)
        self.inspection = Inspection(self.origin.path, findings)
        self._packed = _is_packed(self.origin, self.inspection)
        with self._stream() as (_, stream):
            self.header: Header = read_header(stream, self.origin.size, self._packed, limits, self.inspection)

    def read(self) -> NDArray[Any]:
        """The stored values, native byte order, in the shape of the header; x runs fastest in memory.

        Reads on to the end of the stream: a wrong checksum, missing bytes and bytes after the voxels are
        refused.
        """
        import numpy as np

        header = self.header
        with self._stream() as (file, stream):
            if read_up_to(stream, header.offset) != header.raw:
                self.inspection.refuse("changed while it was being read; wait until its writer has finished")
            buffer = np.empty(header.voxel_bytes, dtype=np.uint8)
            self._fill(buffer.data, stream)
            if self._packed and stream.read(1):
                self.inspection.refuse(
                    f"trailing data follow the {header.voxel_bytes:,} bytes of voxels that its header "
                    "promises: it is "
                    "larger than expected"
                )
            file.finish()
        values = buffer.view(header.dtype).reshape(header.shape, order="F")
        return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))

    def _fill(self, target: memoryview, stream: Stream) -> None:
        filled, total = 0, len(target)
        while filled < total:
            block = stream.read(min(BLOCK, total - filled))
            if not block:
                count = math.prod(self.header.shape)
                self.inspection.refuse(
                    f"is truncated: {count:,} voxels expected, {filled * count // total:,} found; copy it again"
                )
            target[filled : filled + len(block)] = block
            filled += len(block)

    @contextmanager
    def _stream(self) -> Iterator[tuple[HashedFile, Stream]]:
        with HashedFile(self.origin) as file:
            yield file, GzipStream(file) if self._packed else PlainStream(file)


def _is_packed(origin: Origin, inspection: Inspection) -> bool:
    """Whether the file is compressed, by its name; a content that says otherwise is refused."""
    name = origin.path.name.lower()
    with HashedFile(origin) as file:
        head = file.read(512)
    packed = head.startswith(GZIP_MAGIC)
    if name.endswith(".nii.gz"):
        if not packed:
            what = "uncompressed NIfTI" if head[344:347] in (b"n+1",) or head[4:7] == b"n+2" else sniff(head)
            inspection.refuse(f"is not gzip-compressed although its name says so: the format found is {what}")
    elif name.endswith(".nii"):
        if packed:
            inspection.refuse("holds gzip-compressed data without the suffix .gz; rename it to .nii.gz")
    elif name.endswith((".hdr", ".img")):
        inspection.refuse("is one half of a two-file image (.hdr and .img); join them into one .nii.gz")
    else:
        inspection.refuse("is no NIfTI file by its name; expected .nii or .nii.gz (io.convert reads other formats)")
    return packed
