"""What every reader of a foreign format hands over, and how the libraries behind them are found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts import Limits
from voxfield.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# ITK formats have the world axes left, posterior, superior; ours are right, anterior, superior.
LPS_TO_RAS = (-1.0, -1.0, 1.0)


@dataclass(frozen=True)
class Foreign:
    """Arrays of a foreign file on their own grid; text of its header goes no further than the reader.

    affine    (4, 4) voxel index to world, mm, RAS+
    image     (x, y, z) or (x, y, z, t) scalars, or None
    velocity  (x, y, z, t, 3), components along the world axes, or None
    mask      (x, y, z) share of a voxel that is lumen, 0 to 1, or None
    unit      of the velocity where the format says so, else None
    oriented  whether the format tells the directions of the axes; where it does not, RAS+ is assumed
    """

    affine: NDArray[np.float64]
    image: NDArray[Any] | None = None
    velocity: NDArray[Any] | None = None
    mask: NDArray[Any] | None = None
    unit: str | None = None
    oriented: bool = True


@dataclass(frozen=True)
class Pixels:
    """What a picture does not say about itself.

    pixel_mm  edge of a pixel, mm
    reduce    pixels that are averaged along each edge
    labels    whether pixels above 0 are foreground; else they are intensities
    coronal   whether it is a radiograph, a plane (x, 1, z); else it is a slice (rows, columns, 1)
    """

    pixel_mm: float
    reduce: int
    labels: bool
    coronal: bool = False


def need(module: str, format_name: str) -> Any:
    """Import an optional library. Raises InputError naming the extra that brings it."""
    try:
        return import_module(module)
    except ImportError:
        package = module.split(".", maxsplit=1)[0].removesuffix("modules")
        raise InputError(
            f"{format_name} files are read by {package}, which is not installed; it comes "
            "with the extra `formats`: pip install 'voxfield[formats]'"
        ) from None


def within_limit(extents: Sequence[int], limits: Limits, file: Path) -> int:
    """Number of values; raises InputError over the limit, before anything is allocated."""
    if not extents or min(extents) < 1:
        raise InputError(
            f"its header gives the extents {list(extents)}; expected at least one voxel an axis", file=file
        )
    count = math.prod(int(extent) for extent in extents)
    if excess := limits.excess(count):
        raise InputError(f"its header claims {excess}", file=file)
    return count
