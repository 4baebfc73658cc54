"""Judging a NIfTI header before anything is allocated: small checks, each refuses or notes."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxfield.artifacts._base import Inspection, Limits
from voxfield.artifacts._nifti._geometry import affine_of
from voxfield.artifacts._nifti._layout import DATATYPES, MAGIC, SIZES, UNSUPPORTED, Fields, unpack
from voxfield.artifacts._nifti._note import Note, unpack_note
from voxfield.artifacts._nifti._stream import MAX_DEFLATE_RATIO, Stream, sniff

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_EXTENSIONS = 1 << 24


@dataclass(frozen=True)
class Header:
    """A header that passed.

    shape         extents of all axes, trailing ones kept
    dtype         numpy type of a stored value, byte order included
    offset        bytes before the first voxel
    slope, inter  a value is slope * stored + inter; None where stored values are the values
    affine        (4, 4) mm, RAS+, by the affine rule
    intent        NIfTI intent code
    note          Voxfield's own extension
    raw           the bytes before the voxels
    """

    shape: tuple[int, ...]
    dtype: str
    offset: int
    scaling: tuple[float, float] | None
    affine: NDArray[np.float64]
    intent: int
    note: Note
    raw: bytes

    @property
    def voxel_bytes(self) -> int:
        """Bytes that the voxels take in the file."""
        return math.prod(self.shape) * int(self.dtype[-1])


def read_header(stream: Stream, size: int, packed: bool, limits: Limits, inspection: Inspection) -> Header:
    """Read and judge the header at the start of `stream`.

    size    bytes of the file on disk
    packed  whether the file is compressed
    """
    fields, raw = _read_fields(stream, inspection)
    _check_magic(fields, inspection)
    shape = _shape(fields, inspection)
    code = _datatype(fields, inspection)
    count = math.prod(shape)
    if excess := limits.excess(count, f"voxels ({' x '.join(map(str, shape))})"):
        inspection.refuse(f"its header claims {excess}")
    offset = _offset(fields, inspection)
    _check_size(offset, count * int(code[-1]), size, packed, inspection)
    raw += _read_exactly(stream, offset - len(raw), inspection)
    note = unpack_note(raw[fields.sizeof_hdr :], fields.order, inspection)
    spatial = (*shape[:3], *(1,) * (3 - len(shape)))
    return Header(
        shape=shape,
        dtype=fields.order + code,
        offset=offset,
        scaling=_scaling(fields, inspection),
        affine=affine_of(fields, spatial, note.affine, inspection),
        intent=fields.intent_code,
        note=note,
        raw=raw,
    )


def _read_fields(stream: Stream, inspection: Inspection) -> tuple[Fields, bytes]:
    raw = read_up_to(stream, min(SIZES))
    sizes = {order: struct.unpack(f"{order}i", raw[:4])[0] for order in "<>"} if len(raw) >= 4 else {}
    order = next((order for order, size in sizes.items() if size in SIZES), None)
    if order is not None:
        raw += read_up_to(stream, sizes[order] - len(raw))
    if order is None or len(raw) < sizes[order]:
        inspection.refuse(
            f"is no NIfTI file ({sniff(raw)}): sizeof_hdr is {sizes.get('<', 'missing')} in a header of "
            f"{len(raw)} bytes; expected 348 (NIfTI-1) or 540 (NIfTI-2)"
        )
    return unpack(raw, sizes[order], order), raw


def _check_magic(fields: Fields, inspection: Inspection) -> None:
    if fields.magic == MAGIC[fields.sizeof_hdr]:
        return
    if fields.magic.startswith((b"ni1", b"ni2")):
        inspection.refuse(
            "is the header of a two-file image (.hdr with its voxels in .img); join them into one .nii.gz"
        )
    inspection.refuse(f"its header magic is {fields.magic!r}; expected {MAGIC[fields.sizeof_hdr]!r}")


def _shape(fields: Fields, inspection: Inspection) -> tuple[int, ...]:
    count, *extents = fields.dim
    if not 1 <= count <= 7:
        inspection.refuse(f"dim[0], the number of dimensions, is {count}; expected 1 to 7")
    shape = tuple(extents[:count])
    if min(shape) < 1:
        kind = "a negative" if min(shape) < 0 else "an empty (zero)"
        inspection.refuse(f"dim is {', '.join(map(str, shape))}: {kind} axis; expected at least one voxel along each")
    return shape


def _datatype(fields: Fields, inspection: Inspection) -> str:
    if fields.datatype in UNSUPPORTED:
        inspection.refuse(
            f"holds voxels of datatype {UNSUPPORTED[fields.datatype]} (dtype not supported); expected real numbers"
        )
    if fields.datatype not in DATATYPES:
        inspection.refuse(f"its datatype code {fields.datatype} is unknown (no dtype has it)")
    code, bits = DATATYPES[fields.datatype]
    if fields.bitpix != bits:
        inspection.note(
            "bitpix-disagrees", "warning",
            f"bitpix is {fields.bitpix}, its datatype has {bits} bits; the datatype is used", fields.bitpix,
        )  # fmt: skip
    return code


def _offset(fields: Fields, inspection: Inspection) -> int:
    least = fields.sizeof_hdr + 4
    offset = fields.vox_offset
    if not math.isfinite(offset) or offset != int(offset) or offset < least:
        inspection.refuse(f"vox_offset, the offset of the voxels, is {offset:g}; expected {least} or more")
    return int(offset)


def _check_size(offset: int, voxel_bytes: int, size: int, packed: bool, inspection: Inspection) -> None:
    """Refuse a file that is too short for what its header claims; for gzip, by the most that deflate can "
    "expand."""
    needed = offset + voxel_bytes
    most = (size + 1) * MAX_DEFLATE_RATIO if packed else size
    if most < needed:
        held = f"at most {most:,} bytes unpacked" if packed else f"{size:,} bytes"
        inspection.refuse(
            f"is truncated: vox_offset {offset:,} and {voxel_bytes:,} bytes of voxels expected, but it holds {held}"
        )
    if offset > MAX_EXTENSIONS:
        inspection.refuse(f"vox_offset, the offset of the voxels, is {offset:,}; expected at most {MAX_EXTENSIONS:,}")
    if not packed and size > needed:
        inspection.note(
            "trailing-bytes", "warning",
            f"{size - needed:,} trailing bytes follow the voxels: the file is larger than expected",
            size - needed,
        )  # fmt: skip


def _scaling(fields: Fields, inspection: Inspection) -> tuple[float, float] | None:
    slope, inter = float(fields.scl_slope), float(fields.scl_inter)
    if slope == 0:
        return None  # not set, by the standard
    if math.isnan(slope):
        inspection.note("slope-nan", "warning", "scl_slope is NaN; stored values are used without scaling")
        return None
    if not (math.isfinite(slope) and math.isfinite(inter)):
        inspection.refuse(f"scl_slope is {slope:g} and scl_inter {inter:g}: no usable scaling; expected finite numbers")
    return None if (slope, inter) == (1.0, 0.0) else (slope, inter)


def read_up_to(stream: Stream, count: int) -> bytes:
    """`count` bytes, fewer only where the stream ends."""
    blocks = []
    while count > 0 and (block := stream.read(count)):
        blocks.append(block)
        count -= len(block)
    return b"".join(blocks)


def _read_exactly(stream: Stream, count: int, inspection: Inspection) -> bytes:
    raw = read_up_to(stream, count)
    if len(raw) < count:
        inspection.refuse(f"is truncated inside its header: {count:,} more bytes expected, {len(raw):,} found")
    return raw
