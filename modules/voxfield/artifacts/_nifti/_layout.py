"""The fixed layout of a NIfTI header (https://nifti.nimh.nih.gov), versions 1 and 2, as struct formats."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# (name, struct code); a name of "" is a field that nothing here depends on.
NIFTI1 = (
    ("sizeof_hdr", "i"), ("", "35s"), ("", "B"), ("dim", "8h"), ("", "3f"), ("intent_code", "h"),
    ("datatype", "h"), ("bitpix", "h"), ("", "h"), ("pixdim", "8f"), ("vox_offset", "f"), ("scl_slope", "f"),
    ("scl_inter", "f"), ("", "h"), ("", "B"), ("xyzt_units", "B"), ("", "4f"), ("", "2i"), ("", "80s"),
    ("", "24s"), ("qform_code", "h"), ("sform_code", "h"), ("quatern", "3f"), ("qoffset", "3f"),
    ("srow", "12f"), ("", "16s"), ("magic", "4s"),
)  # fmt: skip
NIFTI2 = (
    ("sizeof_hdr", "i"), ("magic", "8s"), ("datatype", "h"), ("bitpix", "h"), ("dim", "8q"), ("", "3d"),
    ("pixdim", "8d"), ("vox_offset", "q"), ("scl_slope", "d"), ("scl_inter", "d"), ("", "4d"), ("", "2q"),
    ("", "80s"), ("", "24s"), ("qform_code", "i"), ("sform_code", "i"), ("quatern", "3d"), ("qoffset", "3d"),
    ("srow", "12d"), ("", "i"), ("xyzt_units", "i"), ("intent_code", "i"), ("", "16s"), ("", "B"),
    ("", "15s"),
)  # fmt: skip
SIZES = {348: NIFTI1, 540: NIFTI2}
MAGIC = {348: b"n+1\0", 540: b"n+2\0\r\n\x1a\n"}

# Codes of voxel types: (numpy code, bits of a voxel). The second table is known and not supported.
DATATYPES = {
    2: ("u1", 8), 4: ("i2", 16), 8: ("i4", 32), 16: ("f4", 32), 64: ("f8", 64), 256: ("i1", 8),
    512: ("u2", 16), 768: ("u4", 32), 1024: ("i8", 64), 1280: ("u8", 64),
}  # fmt: skip
UNSUPPORTED = {
    1: "1-bit binary", 32: "complex64", 128: "RGB colour", 1536: "float128", 1792: "complex128",
    2048: "complex256", 2304: "RGBA colour",
}  # fmt: skip
CODES = {code: number for number, (code, _) in DATATYPES.items()}
VECTOR_INTENT = 1007
MILLIMETRE, SECOND = 2, 8


@dataclass(frozen=True)
class Fields:
    """The header fields that a reader needs, as they stand in the file."""

    order: str
    sizeof_hdr: int
    dim: tuple[int, ...]
    intent_code: int
    datatype: int
    bitpix: int
    pixdim: tuple[float, ...]
    vox_offset: float
    scl_slope: float
    scl_inter: float
    xyzt_units: int
    qform_code: int
    sform_code: int
    quatern: tuple[float, ...]
    qoffset: tuple[float, ...]
    srow: tuple[float, ...]
    magic: bytes


def unpack(raw: bytes, size: int, order: str) -> Fields:
    """Read the fields of a header of `size` bytes in byte order "<" or ">"."""
    values = iter(struct.unpack(_format(size, order), raw[:size]))
    found: dict[str, object] = {}
    for name, code in SIZES[size]:
        count = 1 if code.endswith("s") else int(code[:-1] or 1)
        taken = tuple(next(values) for _ in range(count))
        if name:
            found[name] = taken if count > 1 else taken[0]
    return Fields(order=order, **found)  # type: ignore[arg-type]  # the tables above give every field its type


def pack(size: int, fields: dict[str, object]) -> bytes:
    """Write a little-endian header; fields that are not given are zero."""
    values: list[object] = []
    for name, code in SIZES[size]:
        count = 1 if code.endswith("s") else int(code[:-1] or 1)
        given = fields.get(name, b"" if code.endswith("s") else 0)
        values += given if isinstance(given, list | tuple) else [given] * count
    return struct.pack(_format(size, "<"), *values)


def _format(size: int, order: str) -> str:
    return order + "".join(code for _, code in SIZES[size])
