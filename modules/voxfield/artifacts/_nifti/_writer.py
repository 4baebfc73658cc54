"""Writing NIfTI-1: the same values give the same bytes (no time stamp, fixed compression)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._nifti._layout import CODES, DATATYPES, MAGIC, MILLIMETRE, SECOND, pack
from voxfield.artifacts._nifti._note import Note, pack_note
from voxfield.artifacts._order import reordered
from voxfield.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_AXIS = 32767
BLOCK = 1 << 22


def write_nifti(
    path: str | Path,
    data: NDArray[Any],
    affine: NDArray[np.float64],
    note: Note,
    *,
    intent: int = 0,
    slope: float = 1.0,
) -> None:
    """Write one volume; the name decides about compression.

    data    (x, y, z, ...) of a type in the NIfTI table, stored as it is
    affine  (4, 4) mm, RAS+; written as the sform, in full digits in the extension
    slope   what a reader multiplies the stored numbers by
    """
    if max(data.shape) > LONGEST_AXIS:
        raise InputError(f"shape {data.shape} does not fit into NIfTI-1: an axis ends at {LONGEST_AXIS}", file=path)
    path = Path(path)
    head = _head(data, affine, note, intent, slope)
    # Noise does not compress, so effort is wasted on it; labels compress well at little cost.
    engine = zlib.compressobj(1 if data.dtype.kind == "f" else 4, zlib.DEFLATED, 31)
    packed = path.name.lower().endswith(".gz")
    little = data.dtype.newbyteorder("<")
    with path.open("wb") as stream:
        for block in _blocks(head, data, little):
            stream.write(engine.compress(block) if packed else block)
        if packed:
            stream.write(engine.flush())


def _blocks(head: bytes, data: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[bytes]:
    """The header, then the voxels in file order (x fastest), in pieces of a few megabytes."""
    import numpy as np

    yield head
    planes = max(1, BLOCK // (data.shape[0] * data.shape[1] * dtype.itemsize))
    for index in np.ndindex(*reversed(data.shape[3:])):  # the first of the further axes runs fastest in the file
        volume = data[(..., *reversed(index))]
        for z in range(0, data.shape[2], planes):
            yield reordered(volume[:, :, z : z + planes], dtype, "F").tobytes(order="F")


def _head(data: NDArray[Any], affine: NDArray[np.float64], note: Note, intent: int, slope: float) -> bytes:
    import numpy as np

    code = data.dtype.str[1:]
    rows = affine[:3].ravel().tolist()
    if not np.array_equal(affine[:3].astype(np.float32), affine[:3]):  # NIfTI-1 keeps float32
        note = replace(note, affine=rows)
    extension = pack_note(note)
    spacing = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    extents = list(data.shape) + [1] * (7 - data.ndim)
    header = pack(348, {
        "sizeof_hdr": 348, "dim": [data.ndim, *extents], "intent_code": intent, "datatype": CODES[code],
        "bitpix": DATATYPES[CODES[code]][1], "pixdim": [1.0, *spacing, 1.0, 1.0, 1.0, 1.0],
        "vox_offset": 352 + len(extension), "scl_slope": slope, "xyzt_units": MILLIMETRE + SECOND,
        "sform_code": 1, "srow": rows, "magic": MAGIC[348],
    })  # fmt: skip
    return header + (b"\1\0\0\0" if extension else bytes(4)) + extension
