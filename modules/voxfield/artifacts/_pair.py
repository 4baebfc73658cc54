"""An image and its mask: one grid, and two different files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxfield.artifacts._grid import GRID_TOLERANCE
from voxfield.errors import InputError

if TYPE_CHECKING:
    from voxfield.artifacts._volume import Volume


def check_pair(image: Volume, mask: Volume) -> None:
    """Raise InputError unless both lie on one grid: equal shape, corners within 1e-3 voxel."""
    place = mask.file or image.file
    other = f" ({image.file.name})" if image.file else ""
    if image.file and mask.file and image.file.samefile(mask.file):
        raise InputError(f"is given as image and as mask{other}: the same file; expected a label map of it", file=place)
    if mask.grid.shape != image.grid.shape:
        raise InputError(
            f"mask has shape {mask.grid.shape}, its image{other} {image.grid.shape}; expected one grid",
            file=place,
        )
    distance = mask.grid.distance(image.grid)
    if distance > GRID_TOLERANCE:
        raise InputError(
            f"mask and image{other} have one shape but their affines (origin, orientation or spacing) "
            "disagree by up to "
            f"{distance:.3g} voxels; expected at most {GRID_TOLERANCE:g}",
            file=place,
        )
