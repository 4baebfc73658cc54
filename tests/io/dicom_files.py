"""Small DICOM files, written by the standard (PS3.5, explicit VR, little endian) without a library."""

import struct
from pathlib import Path

import numpy as np

CR = "1.2.840.10008.5.1.4.1.1.1"
LONG = ("OB", "OW", "SQ", "UN", "UT")


def element(group: int, number: int, kind: str, value: bytes) -> bytes:
    """One data element, padded to an even length."""
    value += (b"\0" if kind in ("UI", "OB") else b" ") * (len(value) % 2)
    length = struct.pack("<2xI" if kind in LONG else "<H", len(value))
    return struct.pack("<HH", group, number) + kind.encode() + length + value


def write_radiograph(path: Path, pixels: np.ndarray, **tags: str) -> Path:
    """A computed radiograph of unsigned 16-bit pixels (rows, columns).

    tags  photometric, spacing ("row\\column" mm), imager_spacing, orientation, frames, samples, plane
    """
    rows, columns = pixels.shape[:2]
    number = struct.Struct("<H").pack
    meta = element(2, 0x10, "UI", b"1.2.840.10008.1.2.1") + element(2, 2, "UI", CR.encode())
    meta = element(2, 1, "OB", b"\0\1") + meta
    elements = {
        (8, 0x16, "UI"): CR,
        (8, 0x60, "CS"): "CR",
        (0x10, 0x10, "PN"): "Doe^Jane",
        (0x18, 0x1164, "DS"): tags.get("imager_spacing"),
        (0x20, 0x20, "CS"): tags.get("orientation"),
        (0x20, 0x37, "DS"): tags.get("plane"),
        (0x28, 2, "US"): int(tags.get("samples", "1")),
        (0x28, 4, "CS"): tags.get("photometric", "MONOCHROME2"),
        (0x28, 8, "IS"): tags.get("frames"),
        (0x28, 0x10, "US"): rows,
        (0x28, 0x11, "US"): columns,
        (0x28, 0x30, "DS"): tags.get("spacing"),
        (0x28, 0x100, "US"): 16,
        (0x28, 0x101, "US"): 16,
        (0x28, 0x102, "US"): 15,
        (0x28, 0x103, "US"): 0,
    }
    body = b"".join(
        element(*key, number(value) if isinstance(value, int) else value.encode())
        for key, value in elements.items()
        if value is not None
    )
    body += element(0x7FE0, 0x10, "OW", pixels.astype("<u2").tobytes())
    head = b"\0" * 128 + b"DICM" + element(2, 0, "UL", struct.pack("<I", len(meta))) + meta
    path.write_bytes(head + body)
    return path
