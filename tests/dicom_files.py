"""Small DICOM files, written by the standard (PS3.5, explicit VR, little endian) without a library."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CR = "1.2.840.10008.5.1.4.1.1.1"
CT, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"
EXPLICIT, IMPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.5"
PERSON = {"name": "Doe^Jane", "patient": "MRN-4711", "institution": "St. Elsewhere", "date": "20260102"}
LONG = ("OB", "OW", "SQ", "UN", "UT")


def element(group: int, number: int, kind: str, value: bytes) -> bytes:
    """One data element, padded to an even length."""
    value += (b"\0" if kind in ("UI", "OB") else b" ") * (len(value) % 2)
    length = struct.pack("<2xI" if kind in LONG else "<H", len(value))
    return struct.pack("<HH", group, number) + kind.encode() + length + value


def write_radiograph(path: Path, pixels: np.ndarray, **tags: str) -> Path:
    """A computed radiograph of unsigned 16-bit pixels (rows, columns).

    tags  photometric, spacing ("row\\column" mm), imager_spacing, orientation, frames, samples, plane, side
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
        (0x20, 0x62, "CS"): tags.get("side"),
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


def write_file(path: Path, kind: str, elements: dict[tuple[int, int, str], Any], pixels: bytes, syntax: str) -> Path:
    """A file of these elements, in the order of their tags, and pixels of 16 bits. None is left out."""
    number = struct.Struct("<H").pack
    meta = element(2, 1, "OB", b"\0\1") + element(2, 2, "UI", kind.encode()) + element(2, 0x10, "UI", syntax.encode())
    body = b""
    for (group, tag, vr), value in sorted({**elements, (8, 0x16, "UI"): kind}.items()):
        if value is not None:
            raw = value if isinstance(value, bytes) else number(value) if isinstance(value, int) else value.encode()
            body += (implicit if syntax == IMPLICIT else element)(group, tag, vr, raw)
    if syntax == RLE:
        body += struct.pack("<HH2s2xI", 0x7FE0, 0x10, b"OB", 0xFFFFFFFF) + fragments(run_lengths(pixels))
    else:
        body += (implicit if syntax == IMPLICIT else element)(0x7FE0, 0x10, "OW", pixels)
    path.write_bytes(b"\0" * 128 + b"DICM" + element(2, 0, "UL", struct.pack("<I", len(meta))) + meta + body)
    return path


def run_lengths(pixels: bytes) -> bytes:
    """16-bit pixels as RLE (PS3.5, annex G), in literal runs: first all high bytes, then all low ones."""
    segments = [
        b"".join(bytes([len(run) - 1]) + run for run in (part[at : at + 128] for at in range(0, len(part), 128)))
        for part in (pixels[1::2], pixels[0::2])
    ]
    segments = [segment + b"\x80" * (len(segment) % 2) for segment in segments]
    return struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13) + b"".join(segments)


def fragments(frame: bytes) -> bytes:
    """One compressed frame behind an empty table of offsets."""
    item = b"\xfe\xff\x00\xe0"
    return item + bytes(4) + item + struct.pack("<I", len(frame)) + frame + b"\xfe\xff\xdd\xe0" + bytes(4)


def implicit(group: int, number: int, kind: str, value: bytes) -> bytes:
    """One data element that does not say its type."""
    value += (b"\0" if kind in ("UI", "OB") else b" ") * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(value)) + value


def planes(affine: NDArray[np.float64], count: int) -> tuple[str, str, list[str]]:
    """Orientation, pixel spacing and positions in DICOM's words of the slices of an affine, mm, RAS+."""
    lps = np.diag([-1, -1, 1, 1]) @ affine
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    directions = (lps[:3, :2] / lengths[:2]).T.ravel()
    places = [words(lps[:3, 3] + k * lps[:3, 2]) for k in range(count)]
    return words(directions), words([lengths[1], lengths[0]]), places


def words(numbers: Any) -> str:
    """Numbers as DICOM writes them, at most 16 characters each."""
    return "\\".join(f"{number:.10g}"[:16] for number in np.asarray(numbers, float))


def write_series(
    folder: Path,
    data: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    prefix: str = "i",
    syntax: str = EXPLICIT,
    **changed: Any,
) -> list[Path]:
    """A CT series of (column, row, slice) values, one file a slice; `changed` replaces elements of all of them.

    changed  series, study, series_number, modality, kind, slope, intercept, position (a list), and those of PERSON
    """  # fmt: skip
    orientation, spacing, places = planes(affine, data.shape[2])
    folder.mkdir(parents=True, exist_ok=True)
    said = {**PERSON, "series": "1.2.3.4", "study": "1.2.3", "series_number": "2", "modality": "CT", **changed}
    written = []
    for k, place in enumerate(said.get("position", places)):
        elements = {
            (8, 8, "CS"): said.get("image_type"), (8, 0x18, "UI"): f"{said['series']}.{k + 1}",
            (8, 0x20, "DA"): said["date"], (8, 0x60, "CS"): said["modality"], (8, 0x80, "LO"): said["institution"],
            (0x10, 0x10, "PN"): said["name"], (0x10, 0x20, "LO"): said["patient"], (0x18, 0x50, "DS"): "1.5",
            (0x18, 0x1210, "SH"): said.get("kernel"), (0x20, 0xD, "UI"): said["study"],
            (0x20, 0xE, "UI"): said["series"], (0x20, 0x11, "IS"): said["series_number"],
            (0x20, 0x13, "IS"): str(k + 1), (0x20, 0x32, "DS"): place,
            (0x20, 0x37, "DS"): said.get("orientation", orientation),
            (0x20, 0x1002, "IS"): said.get("images_in_acquisition"),
            (0x28, 4, "CS"): said.get("photometric", "MONOCHROME2"),
            (0x28, 0x30, "DS"): said.get("spacing", spacing),
            (0x28, 0x1052, "DS"): said.get("intercept"), (0x28, 0x1053, "DS"): said.get("slope"),
            **grey(data),
        }  # fmt: skip
        pixels = data[:, :, k].T.astype("<u2").tobytes()
        path = folder / f"{prefix}{(k * 7) % 1000:03}.dcm"  # names are in another order than places
        written.append(write_file(path, said.get("kind", CT), elements, pixels, syntax))
    return written


def grey(data: NDArray[Any]) -> dict[tuple[int, int, str], int]:
    """How unsigned 16-bit pixels of (column, row, ...) values are stored."""
    numbers = {2: 1, 0x10: data.shape[1], 0x11: data.shape[0], 0x100: 16, 0x101: 16, 0x102: 15, 0x103: 0}
    return {(0x28, number, "US"): value for number, value in numbers.items()}


def sequence(group: int, number: int, *items: bytes) -> tuple[tuple[int, int, str], bytes]:
    """A sequence, of a length that is not said, of items whose length is."""
    body = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item for item in items)
    return (group, number, "SQ"), body


def nested(group: int, number: int, *items: bytes) -> bytes:
    """A sequence as an element."""
    key, body = sequence(group, number, *items)
    return element(*key, body)


def write_enhanced(
    path: Path, data: NDArray[Any], affine: NDArray[np.float64], *, slopes: tuple[str, ...] = ("2",)
) -> Path:
    """An enhanced CT file of (column, row, slice) values, its frames stored from the last to the first."""
    orientation, spacing, places = planes(affine, data.shape[2])
    scale = [
        nested(0x28, 0x9145, element(0x28, 0x1052, "DS", b"-1000") + element(0x28, 0x1053, "DS", slope.encode()))
        for slope in slopes
    ]
    shared = nested(0x20, 0x9116, element(0x20, 0x37, "DS", orientation.encode()))
    shared += nested(0x28, 0x9110, element(0x18, 0x50, "DS", b"99") + element(0x28, 0x30, "DS", spacing.encode()))
    if len(scale) == 1:
        shared += scale[0]
    frames = [
        nested(0x20, 0x9113, element(0x20, 0x32, "DS", place.encode()))
        + (scale[k % len(scale)] if len(scale) > 1 else b"")
        for k, place in enumerate(places)
    ][::-1]
    elements: dict[tuple[int, int, str], Any] = dict(
        [sequence(0x5200, 0x9229, shared), sequence(0x5200, 0x9230, *frames)]
    )
    elements |= {
        (8, 0x18, "UI"): "1.2.3.5", (8, 0x60, "CS"): "CT", (0x10, 0x10, "PN"): PERSON["name"],
        (0x20, 0xD, "UI"): "1.2.3", (0x20, 0xE, "UI"): "1.2.3.4", (0x28, 4, "CS"): "MONOCHROME2",
        (0x28, 8, "IS"): str(data.shape[2]), **grey(data),
    }  # fmt: skip
    pixels = data[:, :, ::-1].transpose(2, 1, 0).astype("<u2").tobytes()
    return write_file(path, ENHANCED_CT, elements, pixels, EXPLICIT)
