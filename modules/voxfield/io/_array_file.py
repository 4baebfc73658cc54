"""NumPy array files (`.npy`): judged by their header before anything is allocated, never unpickled."""

from __future__ import annotations

import math
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from voxfield.artifacts import Limits
from voxfield.artifacts._base import DEFAULT_LIMITS, Inspection
from voxfield.artifacts._files import open_origin
from voxfield.artifacts._values import require_finite
from voxfield.findings import Findings

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_array(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> NDArray[Any]:
    """An array of real numbers. Raises InputError where header and size disagree or values are not finite."""
    import numpy as np

    origin = open_origin(path)
    inspection = Inspection(origin.path, Findings())
    with origin.path.open("rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
        except (ValueError, TypeError, SyntaxError, EOFError, TokenError, RecursionError, MemoryError) as error:
            inspection.refuse(f"is no .npy array: {(str(error) or type(error).__name__).splitlines()[0]}")
        start = stream.tell()
    count = math.prod(int(extent) for extent in shape)
    if dtype.hasobject or dtype.kind not in "biuf":
        inspection.refuse(f"holds dtype {dtype}; expected real numbers, objects are never unpickled")
    if start + count * dtype.itemsize != origin.size:
        inspection.refuse(
            f"is truncated or damaged: its header claims {count:,} values, a size of "
            f"{count * dtype.itemsize:,} bytes "
            f"expected, {origin.size - start:,} found"
        )
    if excess := limits.excess(count):
        inspection.refuse(f"holds {excess}")
    values: NDArray[Any] = np.load(origin.path, allow_pickle=False)
    if values.dtype.kind == "f" and values.size:
        require_finite(values, inspection)
    return values
