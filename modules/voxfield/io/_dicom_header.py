"""What the header of a DICOM file says, read up to its pixels and no further.

PS3.5, implicit and explicit little endian; a compressed file has an explicit header as well. Only elements that are
asked for are kept, so what identifies a person is read where a reader names it and nowhere else. Standard library.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from voxfield.errors import InputError

PREAMBLE, MAGIC = 128, b"DICM"
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
PIXEL_DATA, ITEM, ITEM_END, SEQUENCE_END = 0x7FE00010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
BINARY = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"FL": "f", b"FD": "d"}
DEEPEST, LONGEST = 16, 1 << 20  # nesting of sequences; bytes of one value that is kept
MOST = 2_000_000  # elements and items that are walked over: some seconds; ten thousand frames have a tenth of it

TAGS: Mapping[int, str] = {
    0x00020010: "transfer_syntax",
    0x00080008: "image_type",
    0x00080016: "kind",
    0x00080018: "instance",
    0x00080020: "date",
    0x00080030: "time",
    0x00080060: "modality",
    0x00080080: "institution",
    0x00100010: "name",
    0x00100020: "patient",
    0x00180050: "thickness",
    0x00180088: "slice_distance",
    0x00181210: "kernel",
    0x0020000D: "study",
    0x0020000E: "series",
    0x00200011: "series_number",
    0x00200013: "instance_number",
    0x00200032: "position",
    0x00200037: "orientation",
    0x00200052: "frame_of_reference",
    0x00200060: "laterality",
    0x00200062: "image_laterality",
    0x00201002: "images_in_acquisition",
    0x00280002: "samples",
    0x00280004: "photometric",
    0x00280008: "frames",
    0x00280010: "rows",
    0x00280011: "columns",
    0x00280030: "spacing",
    0x00280100: "bits",
    0x00281052: "intercept",
    0x00281053: "slope",
    0x00283000: "value_table",
    0x52009229: "shared_groups",
    0x52009230: "frame_groups",
    0x00209113: "plane_position",
    0x00209116: "plane_orientation",
    0x00289110: "pixel_measures",
    0x00289145: "value_transformation",
}
PERSONAL = frozenset({"date", "time", "institution", "name", "patient", "study"})  # conversion asks for none of these
# Implicit headers do not say what a value is: numbers that are not text, and sequences.
UNSIGNED = frozenset({0x00280002, 0x00280010, 0x00280011, 0x00280100})
SEQUENCES = frozenset({0x00283000, 0x52009229, 0x52009230, 0x00209113, 0x00209116, 0x00289110, 0x00289145})


@dataclass(frozen=True)
class Header:
    """Elements of a file by our names for them.

    values       text without padding, a number, or for a sequence a list of dicts of the same
    pixel_bytes  length of the stored pixels; None where they are compressed or there are none
    has_pixels   whether there are any
    """

    values: Mapping[str, Any]
    pixel_bytes: int | None
    has_pixels: bool

    def text(self, name: str) -> str:
        """A value as text; nothing where it is absent."""
        return str(self.values.get(name, ""))

    def number(self, name: str, otherwise: int) -> int:
        """A value as a whole number; `otherwise` where it is absent or none."""
        try:
            return int(self.values[name])
        except (KeyError, ValueError, TypeError):
            return otherwise


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins so is DICOM."""
    return head[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC


def begins_like_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its first bytes. Raises InputError where they can not be read."""
    try:
        with path.open("rb") as stream:
            return is_dicom(stream.read(PREAMBLE + len(MAGIC)))
    except OSError as error:
        raise InputError(f"can not be read: {error.strerror}", file=path) from None


def read_header(path: Path, wanted: Collection[str] | None = None) -> Header:
    """The elements `wanted`, by default all of `TAGS`. Raises InputError for another format and for damage."""
    names = {tag: name for tag, name in TAGS.items() if wanted is None or name in wanted}
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            if not is_dicom(stream.read(PREAMBLE + len(MAGIC))):
                raise InputError("is no DICOM file: its bytes 128 to 131 are not DICM", file=path)
            return _Parser(stream, size, path, names).header()
    except OSError as error:
        raise InputError(f"can not be read: {error.strerror}", file=path) from None


class _Parser:
    """One pass over a file: values are skipped unless they are wanted."""

    def __init__(self, stream: BinaryIO, size: int, path: Path, names: Mapping[int, str]) -> None:
        self.stream, self.size, self.path, self.names = stream, size, path, names
        self.explicit = True
        self.walked = 0
        self.pixel_bytes: int | None = None
        self.has_pixels = False

    def header(self) -> Header:
        values: dict[str, Any] = {}
        while (place := self.stream.tell()) < self.size:
            group = self._take(2)
            self.stream.seek(place)
            if group != b"\2\0":
                break
            self._element(values, 0, {**self.names, 0x00020010: "transfer_syntax"})
        syntax = values.get("transfer_syntax", IMPLICIT)
        if syntax in (BIG_ENDIAN, DEFLATED):
            what = "big-endian numbers" if syntax == BIG_ENDIAN else "a deflated header"
            raise InputError(f"has {what}; convert it to explicit little endian first", file=self.path)
        self.explicit = syntax != IMPLICIT
        while self.stream.tell() < self.size and self._element(values, 0, self.names):
            pass
        return Header(values, self.pixel_bytes, self.has_pixels)

    def _element(self, values: dict[str, Any], depth: int, names: Mapping[int, str]) -> bool:
        """Read one element into `values`; False where the data set or the sequence item ends."""
        tag, kind, length = self._prefix()
        if tag == PIXEL_DATA and depth == 0:
            self._judge_pixels(length)
            return False
        if tag in (ITEM_END, SEQUENCE_END):
            return False
        name = names.get(tag)
        if kind == b"SQ" or length == UNDEFINED:
            explicit, self.explicit = self.explicit, self.explicit and kind != b"UN"  # PS3.5 6.2.2, note 2
            items = self._items(length, depth + 1, names if name else {})
            self.explicit = explicit
            if name:
                values[name] = items
        elif name is None:
            self._skip(length)
        elif length > LONGEST:
            raise InputError(f"claims {length:,} bytes for its {name}; it is damaged", file=self.path)
        else:
            values[name] = self._value(tag, kind, self._take(length))
        return True

    def _prefix(self) -> tuple[int, bytes, int]:
        """Tag, type and length of the next element or item."""
        self.walked += 1
        if self.walked > MOST:
            raise InputError(f"has more than {MOST:,} elements; it is damaged, or no scan", file=self.path)
        group, number = struct.unpack("<HH", self._take(4))
        tag = group << 16 | number
        if group == 0xFFFE or not (self.explicit or group == 2):
            kind = b"SQ" if tag in SEQUENCES else b""
            return tag, kind, struct.unpack("<I", self._take(4))[0]
        kind = self._take(2)
        if not (kind.isalpha() and kind.isupper()):
            raise InputError(f"holds the type {kind!r} at byte {self.stream.tell()}; it is damaged", file=self.path)
        if kind in LONG:
            self._take(2)
            return tag, kind, struct.unpack("<I", self._take(4))[0]
        return tag, kind, struct.unpack("<H", self._take(2))[0]

    def _items(self, length: int, depth: int, names: Mapping[int, str]) -> list[dict[str, Any]]:
        if depth > DEEPEST:
            raise InputError(f"nests sequences more than {DEEPEST} deep; it is damaged", file=self.path)
        end = self.size if length == UNDEFINED else self.stream.tell() + length
        items: list[dict[str, Any]] = []
        while self.stream.tell() < end:
            tag, _, size = self._prefix()
            if tag == SEQUENCE_END:
                break
            if tag != ITEM:
                raise InputError(f"has the element {tag:08x} where an item is expected; it is damaged", file=self.path)
            if not names and size != UNDEFINED:
                self._skip(size)
                continue
            item: dict[str, Any] = {}
            last = self.size if size == UNDEFINED else self.stream.tell() + size
            while self.stream.tell() < last and self._element(item, depth, names):
                pass
            if names:
                items.append(item)
        return items

    def _judge_pixels(self, length: int) -> None:
        self.has_pixels = True
        if length != UNDEFINED:
            self.pixel_bytes = length
            self._skip(length)
            return
        tag = ITEM
        while tag == ITEM:  # fragments of a compressed stream; their content is for who decodes it
            tag, _, size = self._prefix()
            self._skip(size)
        if tag != SEQUENCE_END:
            raise InputError("its compressed pixels do not end; it is truncated", file=self.path)

    def _value(self, tag: int, kind: bytes, raw: bytes) -> Any:
        code = "H" if not kind and tag in UNSIGNED else BINARY.get(kind)
        if code is None:
            return raw.decode("latin-1").strip(" \0")
        width = struct.calcsize(code)
        numbers = struct.unpack(f"<{len(raw) // width}{code}", raw[: len(raw) // width * width])
        return numbers[0] if len(numbers) == 1 else "\\".join(map(str, numbers))

    def _take(self, count: int) -> bytes:
        block = self.stream.read(count)
        if len(block) < count:
            raise InputError("ends within its header; it is truncated", file=self.path)
        return block

    def _skip(self, count: int) -> None:
        if self.stream.tell() + count > self.size:
            missing = self.stream.tell() + count - self.size
            raise InputError(f"is truncated: {missing:,} bytes are missing; copy it again", file=self.path)
        self.stream.seek(count, 1)
