"""Betti numbers of a binary volume, exactly and without persistent homology.

Duality used everywhere in this package: the foreground is 26-connected (a voxel is a closed cube), the
background is 6-connected. With it the Euler characteristic of the union of closed cubes is

    chi = vertices - edges + squares - cubes = b0 - b1 + b2        (Euler, Poincare)

where b0 counts components, b1 tunnels (loops of a vessel tree) and b2 cavities. b0 and b2 are component
counts (`_runs`), chi is a sum over the cells on the border (`_cells`), and b1 follows. The cost follows the
foreground and not the volume.
"""

from typing import NamedTuple, cast

import cc3d
import numpy as np
from numpy.typing import NDArray

from voxfield.segmentation.metrics._cells import Cells, euler_characteristic, mixed_cells
from voxfield.segmentation.metrics._foreground import Foreground, foreground
from voxfield.segmentation.metrics._runs import count_background, count_foreground

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]


class Betti(NamedTuple):
    """Topology of a foreground that is 26-connected, in a background that is 6-connected."""

    components: int
    tunnels: int
    cavities: int


def label_components(mask: Mask, connectivity: int = 26) -> tuple[Labels, int]:
    """Number the connected components 1..n in scan order.

    mask          (x, y, z) bool
    connectivity  6 (faces), 18 or 26 (corners)
    returns       (x, y, z) integer, 0 where mask is False; n
    """
    # cc3d sizes its table of labels too small for some arrays of a few voxels; a layer of background mends
    # that.
    tiny = mask.size < 64
    labels, count = cc3d.connected_components(
        np.pad(mask, 1) if tiny else np.ascontiguousarray(mask),
        connectivity=connectivity,
        return_N=True,
        binary_image=True,
    )
    if tiny:
        labels = labels[1:-1, 1:-1, 1:-1]
    return labels, int(count)


def count_components(mask: Mask, connectivity: int = 26) -> int:
    """Number of connected components of a (x, y, z) bool array."""
    return count_foreground(foreground(mask), connectivity)


def fill_cavities(mask: Mask) -> Mask:
    """Fill every background voxel that no 6-connected path leads out of the volume; (x, y, z) bool."""
    import fill_voids

    if not mask.any():
        return mask.copy()
    box = bounding_box(mask)
    filled = mask.copy()
    # fill_voids also fills some voxels on the faces of an array, which are no cavities; a layer of background
    # mends that.
    filled[box] = fill_voids.fill(np.pad(mask[box], 1), in_place=True)[1:-1, 1:-1, 1:-1]
    return filled


def bounding_box(mask: Mask, margin: int = 0) -> tuple[slice, slice, slice]:
    """Smallest box around the True voxels, grown by `margin` inside the volume; `mask` must not be empty."""
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(int(hit[0]) - margin, 0), min(int(hit[-1]) + 1 + margin, mask.shape[axis])))
    return cast(tuple[slice, slice, slice], tuple(box))


def betti_numbers(mask: Mask) -> Betti:
    """Components, tunnels and cavities of a (x, y, z) bool array; (0, 0, 0) for an empty one."""
    places = foreground(mask)
    return betti_of(places, mixed_cells(places))


def betti_of(mask: Foreground, cells: Cells) -> Betti:
    """Components, tunnels and cavities of a foreground, given the cells on its border."""
    components = count_foreground(mask, 26)
    cavities = count_background(mask, 6) - 1
    return Betti(components, components + cavities - euler_characteristic(cells), cavities)
