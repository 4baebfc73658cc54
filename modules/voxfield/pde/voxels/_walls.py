"""The faces where a mask ends, by the label of what lies behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Ints, VoxelDomain


@dataclass(frozen=True)
class WallFaces:
    """The f faces that carry one label.

    cells    (f,)    unknown inside each face
    axes     (f,)    voxel axis of the normal
    signs    (f,)    +1 where the outside lies at the larger index, else -1
    centres  (f, 3)  middle of each face, in the unit of the spacing; voxel (0, 0, 0) has its centre at the origin
    steps    (f,)    spacing along the normal
    """

    cells: Ints
    axes: Ints
    signs: Floats
    centres: Floats
    steps: Floats

    def __len__(self) -> int:
        return len(self.cells)


def wall_faces(domain: VoxelDomain, walls: NDArray[np.integer], labels: Iterable[int]) -> dict[int, WallFaces]:
    """Faces between a voxel of the mask and one outside it that carries the label.

    walls   (x, y, z)  label of each voxel; on the edge of the box, where nothing lies behind, that of the voxel
                       inside, as in `artifacts.face_labels`
    labels             those wanted
    """
    sides = [(axis, sign) for axis in range(3) for sign in (-1, 1)]
    behind = [_labels_behind(domain, walls, axis, sign) for axis, sign in sides]
    return {label: _faces(domain, sides, behind, label) for label in labels}


def _labels_behind(domain: VoxelDomain, walls: NDArray[np.integer], axis: int, sign: int) -> tuple[Ints, Ints]:
    """Unknowns (m,) whose neighbour on one side is outside, and its label (m,)."""
    offset = (sign * (axis == 0), sign * (axis == 1), sign * (axis == 2))
    cells = np.flatnonzero(domain.neighbour(offset) == domain.size)
    beyond = np.clip(domain.cells[cells] + offset, 0, np.array(domain.mask.shape) - 1)
    return cells, walls[tuple(beyond.T)]


def _faces(domain: VoxelDomain, sides: list[tuple[int, int]], behind: list[tuple[Ints, Ints]], label: int) -> WallFaces:
    parts = [cells[labels == label] for cells, labels in behind]
    counts = [len(part) for part in parts]
    cells = np.concatenate(parts)
    axes = np.repeat([axis for axis, _ in sides], counts)
    signs = np.repeat([float(sign) for _, sign in sides], counts)
    centres = domain.cells[cells].astype(float)
    centres[np.arange(len(cells)), axes] += signs / 2
    return WallFaces(cells, axes, signs, centres * domain.spacing, np.array(domain.spacing)[axes])
