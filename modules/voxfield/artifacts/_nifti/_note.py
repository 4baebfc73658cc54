"""What the NIfTI header has no field for, in one small comment extension (code 6) under the key `voxfield`.

Label names, the unannotated value, the unit of the values, and the digits of the affine that float32 drops:
inside the file, so that one artifact is one file. Other readers skip it.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._strict_json import parse_json

COMMENT = 6
PREFIX = b'{"voxfield":'


@dataclass(frozen=True)
class Note:
    """The extension of one file.

    affine       the first three rows, row by row, in full digits
    labels       value -> name
    unannotated  the value that stands for "nobody looked"
    unit         of the values
    """

    affine: list[float] | None = None
    labels: dict[int, str] = field(default_factory=dict)
    unannotated: int | None = None
    unit: str | None = None


def pack_note(note: Note) -> bytes:
    """The extension with its size and code, padded to a multiple of 16 bytes; empty where there is "
    "nothing to say."""
    content: dict[str, Any] = {}
    if note.affine is not None:
        content["affine"] = note.affine
    if note.labels:
        content["labels"] = {str(value): name for value, name in sorted(note.labels.items())}
    if note.unannotated is not None:
        content["unannotated"] = note.unannotated
    if note.unit is not None:
        content["unit"] = note.unit
    if not content:
        return b""
    text = PREFIX + json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode() + b"}"
    size = -(-(len(text) + 8) // 16) * 16
    return struct.pack("<2i", size, COMMENT) + text.ljust(size - 8)


def unpack_note(extensions: bytes, order: str, inspection: Inspection) -> Note:
    """Walk through the extensions (the bytes between header and voxels) and return ours, or an empty note."""
    if len(extensions) < 4 or extensions[0] == 0:
        return Note()
    note = Note()
    place = 4
    while len(extensions) - place >= 8:
        size, code = struct.unpack_from(f"{order}2i", extensions, place)
        if size < 8 or size > len(extensions) - place:
            inspection.refuse(
                f"header extension at byte {place} claims {size} bytes of the {len(extensions) - place} "
                "before the voxels"
            )
        content = extensions[place + 8 : place + size]
        if code == COMMENT and content.startswith(PREFIX):
            note = _read(content, inspection)
        place += size
    return note


def _read(content: bytes, inspection: Inspection) -> Note:
    text = content.rstrip(b" \0")
    value = parse_json(text, inspection.file, what="its voxfield header extension")
    given = value.get("voxfield") if isinstance(value, dict) else None
    if not isinstance(given, dict):
        inspection.refuse("its voxfield header extension holds no mapping")
    affine, labels = given.get("affine"), given.get("labels", {})
    unannotated, unit = given.get("unannotated"), given.get("unit")
    sound = (
        (affine is None or (_is_list_of_numbers(affine) and len(affine) == 12))
        and isinstance(labels, dict)
        and all(isinstance(name, str) and _is_integer(key) for key, name in labels.items())
        and (unannotated is None or (type(unannotated) is int and unannotated != 0))
        and (unit is None or isinstance(unit, str))
    )
    if not sound:
        inspection.refuse("its voxfield header extension holds values of the wrong kind; make the file anew")
    return Note(affine, {int(key): name for key, name in labels.items()}, unannotated, unit)


def _is_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) in (int, float) for number in value)


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()
