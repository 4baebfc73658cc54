"""GIfTI surfaces, read and written here, so that sizes are judged before anything is unpacked.

Layout (nitrc.org/projects/gifti, version 1.0): XML with one `DataArray` of intent POINTSET, (n, 3), and one of intent
TRIANGLE, (m, 3), as text, as base64, or as base64 of zlib. Arrays in files of their own are refused: a surface is one
file. The standard knows FLOAT32 coordinates; we write these where they hold every digit, and FLOAT64 elsewhere, which
nibabel reads as well.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from voxfield.artifacts._xml import read_xml

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.artifacts._base import Inspection, Limits, Origin

TYPES = {
    "NIFTI_TYPE_UINT8": "u1", "NIFTI_TYPE_INT32": "i4", "NIFTI_TYPE_UINT32": "u4", "NIFTI_TYPE_INT64": "i8",
    "NIFTI_TYPE_FLOAT32": "f4", "NIFTI_TYPE_FLOAT64": "f8",
}  # fmt: skip
ORDERS = {"RowMajorOrder": "C", "ColumnMajorOrder": "F"}
ENDIANS = {"LittleEndian": "<", "BigEndian": ">"}
WORLD = "NIFTI_XFORM_SCANNER_ANAT"
ANY_ZLIB = 47  # zlib and gzip headers, both are found in GIfTI files
LEVEL = 6


def read_surface(origin: Origin, limits: Limits, inspection: Inspection) -> tuple[NDArray[Any], NDArray[Any]]:
    """Vertices (n, 3) and triangles (m, 3) as they are stored; vertices in the space that the file names as its last.

    Raises InputError for any other file, and for more values than the limit, before they are unpacked.
    """
    return read_xml(origin, limits, "GIfTI surface", lambda root: _parse(root, limits, inspection))


def write_surface(vertices: NDArray[Any], triangles: NDArray[Any]) -> str:
    """The text of a GIfTI file; vertices float64, world, mm."""
    import numpy as np

    short = vertices.astype(np.float32)
    coordinates = short if np.array_equal(short, vertices, equal_nan=True) else vertices
    matrix = " ".join(str(float(value)) for value in np.eye(4).ravel())
    space = (
        f"<CoordinateSystemTransformMatrix><DataSpace>{WORLD}</DataSpace><TransformedSpace>{WORLD}</TransformedSpace>"
        f"<MatrixData>{matrix}</MatrixData></CoordinateSystemTransformMatrix>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<GIFTI Version="1.0" NumberOfDataArrays="2">\n<MetaData/><LabelTable/>\n'
        f"{_array('NIFTI_INTENT_POINTSET', coordinates, space)}\n"
        f"{_array('NIFTI_INTENT_TRIANGLE', triangles.astype(np.int32), '')}\n</GIFTI>\n"
    )


def _array(intent: str, values: NDArray[Any], space: str) -> str:
    kind = next(name for name, code in TYPES.items() if code == values.dtype.str[1:])
    packed = zlib.compress(values.astype(values.dtype.newbyteorder("<")).tobytes(), LEVEL)
    head = (
        f'Intent="{intent}" DataType="{kind}" ArrayIndexingOrder="RowMajorOrder" Dimensionality="2" '
        f'Dim0="{len(values)}" Dim1="3" Encoding="GZipBase64Binary" Endian="LittleEndian" '
        'ExternalFileName="" ExternalFileOffset="0"'
    )
    return f"<DataArray {head}><MetaData/>{space}<Data>{base64.b64encode(packed).decode()}</Data></DataArray>"


def _parse(root: ET.Element, limits: Limits, inspection: Inspection) -> tuple[NDArray[Any], NDArray[Any]]:
    found = [str(array.get("Intent")) for array in root.iter("DataArray")]
    arrays = dict(zip(found, root.iter("DataArray"), strict=True))
    wanted = ("NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE")
    if root.tag != "GIFTI" or any(found.count(intent) != 1 for intent in wanted):
        raise ValueError(f"its data arrays are {', '.join(found) or 'none'}; expected one {' and one '.join(wanted)}")
    if len(found) > len(wanted):
        others = ", ".join(intent for intent in found if intent not in wanted)
        inspection.note("arrays-ignored", "info", f"holds more than a surface; not read: {others}")
    points, triangles = (arrays[intent] for intent in wanted)
    count = math.prod(_shape(points)) + math.prod(_shape(triangles))
    if excess := limits.excess(count):
        raise ValueError(f"it has {excess}")
    return _to_world(points, _values(points), inspection), _values(triangles)


def _shape(array: ET.Element) -> tuple[int, ...]:
    axes = int(str(array.get("Dimensionality")))
    shape = tuple(int(str(array.get(f"Dim{axis}"))) for axis in range(min(axes, 6)))
    if len(shape) != 2 or shape[0] < 0 or shape[1] != 3:
        raise ValueError(f"an array of intent {array.get('Intent')} has dimensions {shape}; expected (n, 3)")
    return shape


def _values(array: ET.Element) -> NDArray[Any]:
    """(n, 3) values of one data array."""
    import numpy as np

    shape, encoding, text = _shape(array), array.get("Encoding"), array.findtext("Data") or ""
    order = ORDERS[_known(array, "ArrayIndexingOrder", ORDERS)]
    code = TYPES[_known(array, "DataType", TYPES)]
    count = math.prod(shape)
    if encoding == "ASCII":
        words = text.split(maxsplit=count)  # the header was judged: no more than it promises is taken apart
        if len(words) != count:
            raise ValueError(f"an array of {count} values has {'fewer' if len(words) < count else 'more'} words")
        return np.array(words, dtype=np.float64).reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]
    dtype = np.dtype(ENDIANS[_known(array, "Endian", ENDIANS)] + code)
    raw = _unpacked(text, str(encoding), count * dtype.itemsize)
    return np.frombuffer(raw, dtype=dtype).reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]


def _unpacked(text: str, encoding: str, size: int) -> bytes:
    """Exactly `size` bytes, or ValueError; never unpacks more than that."""
    if encoding not in ("Base64Binary", "GZipBase64Binary"):
        raise ValueError(f"its data are encoded as {encoding}; expected ASCII, Base64Binary or GZipBase64Binary")
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
        if encoding == "GZipBase64Binary":
            engine = zlib.decompressobj(ANY_ZLIB)
            raw = engine.decompress(raw, size + 1)
            if not engine.eof and len(raw) <= size:
                raise ValueError("its compressed data end too early; copy the file again")
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"its data are damaged: {error}") from None
    if len(raw) != size:
        raise ValueError(f"its data hold {'more' if len(raw) > size else 'fewer'} than the {size} bytes declared")
    return raw


def _known(array: ET.Element, name: str, known: dict[str, str]) -> str:
    value = array.get(name)
    if value not in known:
        raise ValueError(f"{name} is {value!r}; known are {', '.join(known)}")
    return value


def _to_world(array: ET.Element, vertices: NDArray[Any], inspection: Inspection) -> NDArray[Any]:
    """Vertices in scanner space where the file says how to get there; told where it does not."""
    import numpy as np

    systems = array.findall("CoordinateSystemTransformMatrix")
    spaces = [str(system.findtext("DataSpace")).strip() for system in systems]
    if WORLD in spaces:
        return vertices
    for system in systems:
        if str(system.findtext("TransformedSpace")).strip() == WORLD:
            matrix = np.array(str(system.findtext("MatrixData")).split(), dtype=np.float64)
            if matrix.size != 16 or not np.isfinite(matrix).all():
                raise ValueError(f"its matrix to {WORLD} has {matrix.size} numbers; expected 16, all of them finite")
            matrix = matrix.reshape(4, 4)
            return vertices @ matrix[:3, :3].T + matrix[:3, 3]
    named = ", ".join(spaces) or "no space"
    inspection.note("space", "info", f"its coordinates are in {named}; they are taken as {WORLD} (mm, RAS+)")
    return vertices
