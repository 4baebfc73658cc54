"""The way from one opening of a lumen to another, and how many voxels lie across the lumen along it.

The way is the cheapest path of face neighbours where a voxel costs the inverse square of its distance to the wall, so
that it keeps to the middle. The width of the lumen at a voxel of the way is that of a disk as large as its
cross-section, sqrt(4 A / pi). Where the way has the direction t, the plane of the grid normal to axis k cuts the lumen
in the area A_k = A / |t_k|; the three areas A_k |t_k| count by the squares of t_k, which sum to 1. Areas and widths are
in voxels, also where these are no cubes.

Near an end the caps clip the sections. There the lumen is taken to be as wide as where they do not, if the distance to
the wall has room for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.graph import MCP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Ints, Mask
    from voxfield.pde._relative import Lumen

FIRST_OPENING = 2
ANY_NEIGHBOUR = np.ones((3, 3, 3), dtype=bool)
CLIPPED = 1.5  # distance to a cap, over that to the wall, up to which it may clip a section: the tangent of 54 degrees


@dataclass(frozen=True)
class Way:
    """A path of face neighbours.

    voxels  (k, 3)  from the reference to another opening
    across  (k,)    diameter, in voxels, of a disk as large as the cross-section of the lumen
    """

    voxels: Ints
    across: Floats

    @property
    def throat(self) -> float:
        """Voxels across the narrowest place."""
        return float(self.across.min())


def wall_distance(lumen: Mask, marks: NDArray[np.integer]) -> Floats:
    """Distance (x, y, z), in voxels, from each lumen voxel to the nearest wall voxel; openings are no wall.

    lumen  (x, y, z)
    marks  (x, y, z)  an openings label map
    """
    lumen_box = np.pad(lumen, 1)
    caps = np.pad(marks, 1, mode="edge") >= FIRST_OPENING
    wall = ndimage.binary_dilation(lumen_box, ANY_NEIGHBOUR) & ~lumen_box & ~caps
    if not wall.any():
        return np.where(lumen, float(max(lumen.shape)), 0.0)
    distance = ndimage.distance_transform_edt(~wall)[1:-1, 1:-1, 1:-1]
    return np.where(lumen, distance, 0.0)


def find_ways(lumen: Lumen) -> dict[int, Way]:
    """Ways from the reference to each other opening of a lumen."""
    mask, cells = lumen.domain.mask, lumen.domain.cells
    distance = wall_distance(mask, lumen.marks)
    costs = np.where(mask, 1 / np.maximum(distance, 1.0) ** 2, -1.0)  # negative: no way through
    search = MCP(costs, fully_connected=False)
    middles = {label: _deepest(distance, cells[plane.faces.cells]) for label, plane in lumen.openings.items()}
    search.find_costs([middles.pop(lumen.reference)])
    ways = {}
    for label, middle in middles.items():
        voxels = np.array(search.traceback(middle), dtype=np.intp)
        ways[label] = Way(voxels, _widths(mask, lumen.marks, distance, voxels))
    return ways


def _widths(lumen: Mask, marks: NDArray[np.integer], distance: Floats, voxels: Ints) -> Floats:
    place = tuple(voxels.T)
    diameters = _equivalent_diameters(lumen, distance, voxels)
    to_cap = np.asarray(ndimage.distance_transform_edt(marks < FIRST_OPENING))[place]
    clear = np.flatnonzero(to_cap > CLIPPED * distance[place])
    if not len(clear):
        return np.asarray(np.maximum(diameters, 2 * distance[place]))
    farther = np.interp(np.arange(len(voxels)), clear, diameters[clear])
    return np.asarray(np.maximum(diameters, np.minimum(farther, 2 * distance[place] + 1)))


def _deepest(distance: Floats, cells: Ints) -> tuple[int, ...]:
    """The cell (3,) that lies farthest from the wall."""
    return tuple(cells[int(distance[tuple(cells.T)].argmax())].tolist())


def _equivalent_diameters(lumen: Mask, distance: Floats, voxels: Ints) -> Floats:
    """sqrt(4 A / pi) at each voxel (k,), in voxels."""
    tangents = np.abs(_tangents(voxels, distance[tuple(voxels.T)]))
    sections = np.stack([_section_areas(lumen, voxels, axis) for axis in range(3)], axis=1)
    return np.asarray(np.sqrt(4 / np.pi * (tangents**3 * sections).sum(axis=1)))


def _tangents(voxels: Ints, distance: Floats) -> Floats:
    """Unit vectors (k, 3) along the way, over as many voxels to either side as the lumen is wide."""
    places = np.arange(len(voxels))
    reach = np.ceil(2 * distance).astype(int)
    chords = voxels[np.minimum(places + reach, len(voxels) - 1)] - voxels[np.maximum(places - reach, 0)]
    lengths = np.linalg.norm(chords, axis=1, keepdims=True)
    return np.asarray(chords / np.maximum(lengths, 1.0))


def _section_areas(lumen: Mask, voxels: Ints, axis: int) -> Floats:
    """Voxels (k,) that are joined with each voxel in its plane normal to an axis."""
    areas = np.empty(len(voxels))
    others = [k for k in range(3) if k != axis]
    for plane in np.unique(voxels[:, axis]).tolist():
        here = voxels[:, axis] == plane
        parts, _ = ndimage.label(np.take(lumen, plane, axis=axis))
        sizes = np.bincount(parts.ravel())
        areas[here] = sizes[parts[tuple(voxels[here][:, others].T)]]
    return areas
