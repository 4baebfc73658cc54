"""Two artifacts on one grid; an image and its mask, which are two different files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxfield.artifacts._grid import GRID_TOLERANCE
from voxfield.errors import InputError

if TYPE_CHECKING:
    from voxfield.artifacts._face_flux import FaceFlux
    from voxfield.artifacts._field_samples import FieldSamples
    from voxfield.artifacts._grid import Grid
    from voxfield.artifacts._volume import Volume


def require_grid(given: Volume | FaceFlux | FieldSamples, grid: Grid, whose: str) -> None:
    """Raise InputError unless an artifact lies on a grid: equal shape, corners within 1e-3 voxel.

    whose  what the grid belongs to, such as "the velocity"
    """
    if given.grid.shape != grid.shape:
        raise InputError(f"has shape {given.grid.shape}, {whose} {grid.shape}; expected one grid", file=given.file)
    distance = given.grid.distance(grid)
    if distance > GRID_TOLERANCE:
        raise InputError(
            f"has the shape of {whose}, but their affines (origin, orientation or spacing) disagree by up to "
            f"{distance:.3g} voxels; expected at most {GRID_TOLERANCE:g}",
            file=given.file,
        )


def check_pair(image: Volume, mask: Volume) -> None:
    """Raise InputError unless both lie on one grid: equal shape, corners within 1e-3 voxel."""
    other = f" ({image.file.name})" if image.file else ""
    if image.file and mask.file and image.file.samefile(mask.file):
        raise InputError(
            f"is given as image and as mask{other}: the same file; expected a label map of it", file=mask.file
        )
    require_grid(mask, image.grid, f"its image{other}")
