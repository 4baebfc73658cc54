"""Openings of a lumen as planes of voxel faces: their mean pressure, the flux through them, their speed.

An opening is cut obliquely, so its faces form a staircase. Each face counts by its area projected on the
mean normal of the opening, which makes the weights of the staircase those of the plane. The pressure on a
face is that of the voxel inside it, carried half a voxel outward by the force b = grad p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfield.artifacts import face_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Ints, VoxelDomain

WALL, FIRST_OPENING = 1, 2


@dataclass(frozen=True)
class BoundaryFaces:
    """Faces between an unknown and the outside.

    cells  (f,)  the unknown inside
    axes   (f,)  axis of the normal
    signs  (f,)  +1 where the outside lies at the larger index, else -1
    """

    cells: Ints
    axes: Ints
    signs: Floats

    def __len__(self) -> int:
        return len(self.cells)

    def areas(self, domain: VoxelDomain) -> Floats:
        """Square metres (f,)."""
        return domain.voxel_volume / np.array(domain.spacing)[self.axes]


@dataclass(frozen=True)
class Opening:
    """One opening of one lumen.

    faces    its faces
    weights  (f,)  share of each face in the mean over the plane; they sum to 1
    """

    faces: BoundaryFaces
    weights: Floats
    half_steps: Floats
    areas: Floats

    def pressure(self, values: Floats, force: Floats) -> Floats:
        """Mean over the plane (k,) of pressures (n, k) that balance force (n, 3, k)."""
        outward = force[self.faces.cells, self.faces.axes] * (self.faces.signs * self.half_steps)[:, None]
        return np.asarray(self.weights @ (values[self.faces.cells] + outward))

    def mean(self, size: int) -> Floats:
        """Shares (n,) of n unknowns in the mean over the plane; they sum to 1."""
        return np.bincount(self.faces.cells, weights=self.weights, minlength=size).astype(float)

    def flux(self, velocity: Floats) -> Floats:
        """Outward volume flux (k,) of velocity (n, 3, k), cubic metres per second."""
        return np.asarray((self.faces.signs * self.areas) @ velocity[self.faces.cells, self.faces.axes])

    def peak_speed(self, velocity: Floats) -> Floats:
        """Largest speed (k,) of velocity (n, 3, k) at the plane, in the unit of velocity."""
        return np.asarray(np.linalg.norm(velocity[self.faces.cells], axis=1).max(axis=0))


def boundary_faces(domain: VoxelDomain, marks: NDArray[np.integer]) -> dict[int, BoundaryFaces]:
    """Faces of the domain that lead out of it by label: 1 wall, k >= 2 opening k.

    marks  (x, y, z)  an openings label map on the domain's grid
    """
    found: dict[int, list[tuple[Ints, int, float]]] = {}
    for axis, labels in enumerate(face_labels(domain.mask, marks)):
        for label in np.unique(labels[labels > 0]).tolist():
            places = np.argwhere(labels == label)
            low = places.copy()
            low[:, axis] -= 1
            # The lumen voxel is below the face or above it, never both, and never beyond the edge of the box.
            is_below = (low[:, axis] >= 0) & domain.mask[tuple(low.T)]
            for inside, sign in ((low[is_below], 1.0), (places[~is_below], -1.0)):
                found.setdefault(label, []).append((domain.index[tuple(inside.T)], axis, sign))
    return {label: _join(parts) for label, parts in sorted(found.items())}


def _join(parts: list[tuple[Ints, int, float]]) -> BoundaryFaces:
    counts = [len(cells) for cells, _, _ in parts]
    return BoundaryFaces(
        np.concatenate([cells for cells, _, _ in parts]),
        np.repeat([axis for _, axis, _ in parts], counts),
        np.repeat([sign for _, _, sign in parts], counts),
    )


def opening_plane(domain: VoxelDomain, faces: BoundaryFaces) -> Opening:
    """The plane through the faces of one opening."""
    areas = faces.areas(domain)
    signed = faces.signs * areas
    normal = np.bincount(faces.axes, weights=signed, minlength=3)
    shares = np.maximum(signed * normal[faces.axes], 0.0)
    if shares.sum() <= 0:  # faces that cancel, as around a single voxel: no plane to speak of
        shares = areas
    half_steps = np.array(domain.spacing)[faces.axes] / 2
    return Opening(faces, shares / shares.sum(), half_steps, areas)
