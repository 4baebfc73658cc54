"""The foreground of a mask as a list of places, for work whose cost follows the vessel and not the volume.

A tree fills less than a hundredth of its volume, so what can be done from a list of its voxels is not done on
the volume. Neighbours are steps along the flat volume; a layer of background around it keeps steps inside.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Ints = NDArray[np.integer]


class Foreground(NamedTuple):
    """The True voxels of a (x, y, z) bool array.

    places  (n,) in the flat padded volume, ascending
    shape   (3,) of that volume: the box around the voxels and a layer of background
    low     (3,) voxel of the mask that is the volume's first; -1 where the layer lies outside
    flat    axes along which the mask itself is one voxel thick, as those of an image are
    """

    places: Ints
    shape: tuple[int, int, int]
    low: Ints
    flat: tuple[int, ...]

    def step(self, offset: Sequence[int]) -> int:
        """How far the neighbour at an offset (3,) is along the flat volume."""
        return int(np.dot(offset, (self.shape[1] * self.shape[2], self.shape[2], 1)))

    def solid(self) -> Mask:
        """The flat padded volume."""
        volume = np.zeros(int(np.prod(self.shape)), bool)
        volume[self.places] = True
        return volume

    def voxels(self, places: Ints) -> Ints:
        """Voxels (n, 3) of the mask at places (n,) of the flat volume."""
        return np.asarray(np.stack(np.unravel_index(places, self.shape), axis=1) + self.low)


def foreground(mask: Mask) -> Foreground:
    """The foreground of a (x, y, z) bool array."""
    flat = tuple(axis for axis in range(3) if mask.shape[axis] == 1)
    voxels = np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape))
    if not voxels.size:
        return Foreground(voxels[0], (2, 2, 2), np.zeros(3, np.int64), flat)
    low = voxels.min(axis=1) - 1
    x, y, z = (int(n) for n in voxels.max(axis=1) - low + 2)
    return Foreground(np.ravel_multi_index(tuple(voxels - low[:, None]), (x, y, z)), (x, y, z), low, flat)
