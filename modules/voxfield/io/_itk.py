"""NRRD and MetaImage, one file each, on SimpleITK.

SimpleITK accepts truncated compressed data, so the stream is read to its end here first: size and checksum
must be right. Axes are turned from LPS, the world of ITK, to RAS.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from voxfield.artifacts import Limits
from voxfield.artifacts._base import Origin
from voxfield.artifacts._files import CHUNK, HashedFile
from voxfield.artifacts._nifti._stream import GzipStream
from voxfield.errors import InputError
from voxfield.io._foreign import LPS_TO_RAS, Foreign, need, within_limit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NRRD = b"NRRD000"
MAX_HEADER = 1 << 20
NRRD_BYTES = {
    "char": 1, "int8": 1, "uchar": 1, "uint8": 1, "short": 2, "int16": 2, "ushort": 2, "uint16": 2,
    "int": 4, "int32": 4, "uint": 4, "uint32": 4, "longlong": 8, "int64": 8, "ulonglong": 8, "uint64": 8,
    "float": 4, "double": 8,
}  # fmt: skip
META_BYTES = {
    "met_char": 1, "met_uchar": 1, "met_short": 2, "met_ushort": 2, "met_int": 4, "met_uint": 4,
    "met_long": 4, "met_ulong": 4, "met_long_long": 8, "met_ulong_long": 8, "met_float": 4, "met_double": 8,
}  # fmt: skip
# Numbers that a field holds as a power of the number of dimensions; MetaIO trusts them and writes past its arrays.
META_COUNTS = {
    "DimSize": 1, "ElementSpacing": 1, "ElementSize": 1, "Offset": 1, "Position": 1, "Origin": 1,
    "CenterOfRotation": 1, "TransformMatrix": 2, "Rotation": 2, "Orientation": 2,
}  # fmt: skip
META_FLAGS = ("BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData")
UNITS_MM = {"mm": 1.0, "um": 0.001, "micron": 0.001, "cm": 10.0, "m": 1000.0}


class Geometry(NamedTuple):
    """What SimpleITK does not tell.

    crc       CRC-32 of the stored voxels, unpacked
    oriented  whether the file gives the directions of its axes
    scale     millimetres in its unit of length
    """

    crc: int
    oriented: bool
    scale: float = 1.0


def read_itk(path: Path, limits: Limits) -> Foreign:
    """A scalar or three-component volume, three-dimensional or with time as the fourth axis."""
    sitk = need("SimpleITK", "NRRD and MetaImage")
    with path.open("rb") as stream:
        is_nrrd = stream.read(len(NRRD)) == NRRD
    with HashedFile(Origin(path, path.stat().st_size)) as file:
        geometry = _judge_nrrd(file, limits) if is_nrrd else _judge_meta(file, limits)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if is_nrrd else "MetaImageIO")
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].replace(str(path), "").strip()
        raise InputError(f"SimpleITK can not read it: {reason[:200]}", file=path) from None
    if image.GetDimension() not in (3, 4):
        raise InputError(f"has {image.GetDimension()} dimensions; expected 3D, or 4D with time last", file=path)
    data = sitk.GetArrayFromImage(image)
    parts = image.GetNumberOfComponentsPerPixel()
    if data.dtype.kind == "c" or parts not in (1, 3):
        raise InputError(
            f"has {parts} components of dtype {data.dtype} a voxel; expected 1 or 3 real numbers", file=path
        )
    if geometry.crc not in _checksums(data, parts):
        raise InputError("SimpleITK makes other voxels of it than are stored; its header is damaged", file=path)
    affine = _affine(image, geometry.scale)
    if parts == 1:
        return Foreign(affine, image=data.transpose(), oriented=geometry.oriented)
    axes = (2, 1, 0, 3) if image.GetDimension() == 3 else (3, 2, 1, 0, 4)
    vectors = data.transpose(axes).reshape(*data.transpose(axes).shape[:3], -1, 3)
    return Foreign(affine, velocity=vectors * LPS_TO_RAS, oriented=geometry.oriented)


def _checksums(data: NDArray[Any], parts: int) -> Iterator[int]:
    """CRC-32 of the voxels as a file may store them: either byte order, components first or last."""
    import numpy as np

    for array in (data,) if parts == 1 else (data, np.moveaxis(data, -1, 0)):
        packed = np.ascontiguousarray(array)
        yield zlib.crc32(packed.data)
        yield zlib.crc32(packed.byteswap().data)


def _affine(image: Any, scale: float) -> NDArray[np.float64]:
    import numpy as np

    size = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (size, size))[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    affine[:3] *= scale * np.array(LPS_TO_RAS)[:, None]
    return affine


def _judge_nrrd(file: HashedFile, limits: Limits) -> Geometry:
    path = file.origin.path
    header = _read_header(file, b"\n\n", b"\r\n\r\n")
    lines = header.decode("latin-1").splitlines()
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(": ") for line in lines[1:])}
    if not {"data file", "datafile", "byte skip", "line skip"}.isdisjoint(fields):
        raise InputError("keeps its voxels elsewhere (data file or skip); join them into one .nrrd", file=path)
    width = NRRD_BYTES.get(_type_of(fields.get("type", "")))
    encoding = fields.get("encoding", "").lower()
    if width is None or encoding not in ("raw", "gzip", "gz"):
        found = f"type {fields.get('type')!r}, encoding {encoding!r}"
        raise InputError(f"has {found}; expected numbers, raw or gzip", file=path)
    needed = within_limit(_integers(fields.get("sizes", ""), path), limits, path) * width
    crc = _drain(file, needed, _gunzip(file) if encoding != "raw" else _plain(file))
    units = set(fields.get("space units", "").replace('"', "").split())
    if not units <= set(UNITS_MM) or len(units) > 1:
        raise InputError(
            f"has the space units {', '.join(sorted(units))}; expected one of {', '.join(UNITS_MM)}",
            file=path,
        )
    return Geometry(crc, "space" in fields, UNITS_MM[units.pop()] if units else 1.0)


def _type_of(text: str) -> str:
    """One name for the many that NRRD has for a type."""
    text = text.lower().replace("_t", "").replace("signed ", "", 1) if text.startswith("signed") else text.lower()
    for long, short in (("unsigned ", "u"), (" int", ""), ("long long", "longlong"), ("_t", "")):
        text = text.replace(long, short)
    return text


def _judge_meta(file: HashedFile, limits: Limits) -> Geometry:
    path = file.origin.path
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields:
        line = _read_header(file, b"\n").decode("latin-1")
        key, equals, value = line.partition("=")
        if not equals:
            raise InputError(f"is no MetaImage: line {len(fields) + 1} of its header is not `name = value`", file=path)
        fields[key.strip()] = value.strip()
    if fields["ElementDataFile"] != "LOCAL":
        raise InputError("keeps its voxels in another file; join them into one .mha", file=path)
    _check_meta_fields(fields, path)
    width = META_BYTES.get(fields.get("ElementType", "").lower())
    parts = _integers(fields.get("ElementNumberOfChannels", "1"), path)
    if width is None:
        raise InputError(f"has ElementType {fields.get('ElementType')!r}; expected numbers", file=path)
    if fields.get("BinaryData", "True").lower() == "false":
        raise InputError("holds its voxels as text; expected binary data", file=path)
    needed = within_limit([*_integers(fields.get("DimSize", ""), path), *parts], limits, path) * width
    packed = fields.get("CompressedData", "False").lower() == "true"
    crc = _drain(file, needed, _inflate(file) if packed else _plain(file))
    return Geometry(crc, not {"TransformMatrix", "Orientation", "Rotation"}.isdisjoint(fields))


def _check_meta_fields(fields: dict[str, str], path: Path) -> None:
    dimensions = sum(_integers(fields.get("NDims", ""), path)[:1])
    if dimensions not in (3, 4):
        raise InputError(f"has NDims = {dimensions}; expected 3, or 4 with time last", file=path)
    for name in META_FLAGS:
        if fields.get(name, "True").lower() not in ("true", "false"):
            raise InputError(f"{name} is {fields[name]!r}; expected True or False", file=path)
    for name, power in META_COUNTS.items():
        count = len(fields.get(name, "").split())
        if name in fields and count != dimensions**power:
            raise InputError(f"{name} holds {count} numbers; expected {dimensions**power}", file=path)


def _drain(file: HashedFile, needed: int, blocks: Iterator[bytes]) -> int:
    """CRC-32 of a stream; refuses another length than the header promises, without reading all of a longer one."""
    found = crc = 0
    for block in blocks:
        found += len(block)
        crc = zlib.crc32(block, crc)
        if found > needed:
            break
    if found != needed:
        what = "is truncated" if found < needed else "has trailing data"
        shown = f"{found:,}" if found < needed else "more"
        raise InputError(f"{what}: {needed:,} bytes of voxels expected, {shown} found", file=file.origin.path)
    return crc


def _plain(file: HashedFile) -> Iterator[bytes]:
    while block := file.read(CHUNK):
        yield block


def _gunzip(file: HashedFile) -> Iterator[bytes]:
    stream = GzipStream(file)
    while block := stream.read(CHUNK):
        yield block


def _inflate(file: HashedFile) -> Iterator[bytes]:
    """The content of a zlib stream, whose checksum is verified at its end."""
    engine = zlib.decompressobj()
    pending = b""
    while not engine.eof:
        pending = pending or file.read(CHUNK)
        if not pending:
            raise InputError(
                "its compressed data are truncated: the checksum at their end is missing",
                file=file.origin.path,
            )
        try:
            block = engine.decompress(pending, CHUNK)
        except zlib.error as error:
            raise InputError(
                f"its compressed data are corrupt ({error}); copy it again", file=file.origin.path
            ) from None
        pending = engine.unconsumed_tail
        yield block


def _read_header(file: HashedFile, *ends: bytes) -> bytes:
    """Bytes up to one of `ends`."""
    header = bytearray()
    while not any(header.endswith(end) for end in ends):
        byte = file.read(1)
        if not byte or len(header) > MAX_HEADER:
            raise InputError("its header has no end: truncated, or another format", file=file.origin.path)
        header += byte
    return bytes(header)


def _integers(text: str, path: Path) -> list[int]:
    try:
        return [int(word) for word in text.split()]
    except ValueError:
        raise InputError(f"its header holds {text[:60]!r} where whole numbers are expected", file=path) from None
