"""safetensors files, read and written here: the header is judged before anything is allocated.

Layout (github.com/huggingface/safetensors): 8 bytes length of the header, little endian; a JSON header
`{name: {dtype, shape, data_offsets}, "__metadata__": {text: text}}`; the bytes of the tensors, without gap or
overlap. The reference reader accepts a name twice and looks for neither NaN nor damage. What Voxfield writes
carries a CRC-32 over header and data in its metadata, verified on reading.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import Inspection, Limits, Origin
from voxfield.artifacts._files import HashedFile, open_origin
from voxfield.artifacts._strict_json import parse_json, write_json
from voxfield.findings import Findings

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_HEADER = 100_000_000  # bytes, the limit of the format
METADATA = "__metadata__"
OURS = "voxfield"
CHECKSUM = "crc32"
# dtype -> numpy code; numpy has no bfloat16, which travels as its 16 bits
DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<i2",
}  # fmt: skip
NAMES = {code: name for name, code in DTYPES.items() if name != "BF16"}


class TensorFile:
    """A safetensors file whose header passed.

    content  what Voxfield wrote about the file: kind, unit, configuration; empty for a foreign file
    shapes   name -> shape
    dtypes   name -> dtype in the words of the format, such as "F32"
    """

    def __init__(self, path: str | Path, limits: Limits, findings: Findings) -> None:
        self.origin: Origin = open_origin(path)
        self.inspection = Inspection(self.origin.path, findings)
        with HashedFile(self.origin) as file:
            self._raw, header = _read_header(file, self.inspection)
        metadata = _metadata(header, self.inspection)
        self._spans = _spans(header, self.origin.size - len(self._raw), self.inspection)
        self.shapes = {name: shape for name, (_, shape, _, _) in self._spans.items()}
        self.dtypes = {name: dtype for name, (dtype, _, _, _) in self._spans.items()}
        _limit(self.shapes, limits, self.inspection)
        self._checksum = metadata.get(CHECKSUM)
        text = metadata.get(OURS, "{}")
        content = parse_json(text, self.origin.path, what="its metadata")
        self.content: dict[str, Any] = content if isinstance(content, dict) else {}

    def read(self) -> dict[str, NDArray[Any]]:
        """Every tensor as a numpy array of its own; bfloat16 as int16 bits."""
        import numpy as np

        with HashedFile(self.origin) as file:
            raw = file.read(len(self._raw))
            data = bytearray(file.read(self.origin.size - len(raw)))
            file.finish()
        if raw != self._raw or len(data) != self.origin.size - len(raw):
            self.inspection.refuse("changed while it was being read; wait until its writer has finished")
        if self._checksum is not None and self._checksum != _checksum(self._described(), data):
            self.inspection.refuse("its checksum (crc) is wrong: the file is damaged; copy it again")
        return {
            name: np.frombuffer(data, dtype=DTYPES[dtype], count=math.prod(shape), offset=start).reshape(shape)
            for name, (dtype, shape, start, _) in self._spans.items()
        }

    def require(self, kind: str, names: tuple[str, ...]) -> None:
        """Refuse a file that was written as something else or lacks a tensor."""
        found = self.content.get("kind")
        if found != kind:
            self.inspection.refuse(f"is {found or 'a safetensors file not written by Voxfield'}; expected {kind}")
        missing = [name for name in names if name not in self.shapes]
        if missing:
            self.inspection.refuse(f"lacks the tensors {', '.join(missing)} of {kind}")

    def _described(self) -> dict[str, Any]:
        header = json.loads(self._raw[8:])
        header.get(METADATA, {}).pop(CHECKSUM, None)
        return dict(header)


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, NDArray[Any]],
    content: Mapping[str, Any],
    dtypes: Mapping[str, str] | None = None,
) -> None:
    """Write arrays in the order of their names, with `content` in the metadata.

    dtypes  names in the format's words where numpy's type does not say it (BF16)
    """
    import numpy as np

    header: dict[str, Any] = {METADATA: {OURS: write_json(dict(content), indent=None).strip()}}
    blocks = []
    place = 0
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(np.shape(tensors[name]))
        code = array.dtype.str.replace("|", "").replace("b1", "?")
        blocks.append(array.tobytes())
        header[name] = {
            "dtype": (dtypes or {}).get(name, NAMES.get(code)), "shape": list(array.shape),
            "data_offsets": [place, place + len(blocks[-1])],
        }  # fmt: skip
        place += len(blocks[-1])
    data = b"".join(blocks)
    header[METADATA][CHECKSUM] = _checksum(header, data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # the data begin at a multiple of 8
    with Path(path).open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.write(data)


def _checksum(header: Mapping[str, Any], data: bytes | bytearray) -> str:
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return f"{zlib.crc32(data, zlib.crc32(text)):08x}"


def _read_header(file: HashedFile, inspection: Inspection) -> tuple[bytes, dict[str, Any]]:
    size = file.origin.size
    start = file.read(8)
    if len(start) < 8:
        inspection.refuse(f"is too small for a safetensors header: {size} bytes, 8 expected")
    length = struct.unpack("<Q", start)[0]
    if length > min(size - 8, MAX_HEADER):
        _refuse_pickle(file.origin.path, start, inspection)
        inspection.refuse(f"its header claims a length of {length:,} bytes, too large for a file of {size:,}")
    text = file.read(length)
    header = parse_json(text, inspection.file, what="its header")
    if not isinstance(header, dict):
        inspection.refuse("its header is JSON but no mapping of tensor names")
    return start + text, header


def _refuse_pickle(path: Path, start: bytes, inspection: Inspection) -> None:
    """Name what people hand in most: weights as torch saves them."""
    if start.startswith((b"PK", b"\x80")) or path.name.lower().endswith((".pt", ".pth", ".ckpt", ".bin", ".tar")):
        inspection.refuse(
            "is a checkpoint of torch, whose pickle could run code: refused as unsafe; expected .safetensors, whose "
            "storage is judged before it is read"
        )


def _metadata(header: dict[str, Any], inspection: Inspection) -> dict[str, str]:
    metadata = header.get(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        inspection.refuse("its header metadata is no mapping of text to text")
    return metadata


Span = tuple[str, tuple[int, ...], int, int]


def _spans(header: dict[str, Any], data_size: int, inspection: Inspection) -> dict[str, Span]:
    """Type, shape, start and end of every tensor; together they cover the data without gap or overlap."""
    spans = {name: _span(name, entry, data_size, inspection) for name, entry in header.items() if name != METADATA}
    place = 0
    for name, (_, _, start, end) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if start != place:
            what = "overlap those" if start < place else "leave a gap after those"
            inspection.refuse(
                f"the data_offsets of tensor {name!r} begin at {start} and {what} of another, which end at {place}"
            )
        place = end
    if place != data_size:
        inspection.refuse(f"{data_size - place:,} trailing bytes belong to no tensor: incomplete header metadata")
    return spans


def _span(name: str, entry: Any, data_size: int, inspection: Inspection) -> Span:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        inspection.refuse(f"its header describes tensor {name!r} without exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        inspection.refuse(f"tensor {name!r} has dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        inspection.refuse(f"tensor {name!r} has shape {shape!r} and data_offsets {offsets!r}; expected whole numbers")
    start, end = offsets
    if not start <= end <= data_size:
        inspection.refuse(
            f"the data_offsets of tensor {name!r} are {start} to {end}, past the end at {data_size} (truncated?)"
        )
    width = 1 if dtype == "BOOL" else int(DTYPES[dtype][-1])
    if math.prod(shape) * width != end - start:
        inspection.refuse(
            f"tensor {name!r} has shape {shape} of {dtype}, but its data_offsets hold a size of {end - start} bytes"
        )
    return dtype, tuple(shape), start, end


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _limit(shapes: Mapping[str, tuple[int, ...]], limits: Limits, inspection: Inspection) -> None:
    for name, shape in shapes.items():
        if excess := limits.excess(math.prod(shape)):
            inspection.refuse(f"tensor {name!r} has {excess}")
