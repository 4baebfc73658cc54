"""Break the loops of a mask at their thinnest places, by topology alone.

From one voxel of each component the mask is flooded again, the wide places first, taking only simple voxels:
those whose addition changes no topology, which holds where the foreground among the 26 neighbours is one
26-component and the background among the 18, as far as it touches the voxel by a face, one 6-component
(Bertrand and Malandain, Pattern Recognition Letters 15, 1994). So the result has the topology of a ball in each
component, whatever the mask is: no tunnel, no cavity. Where two fronts meet around a tunnel, one layer of voxels
is left out. A voxel is taken as soon as the flood has come down to its depth, so the fronts meet where the
widest way around the loop is thinnest.
"""

import numpy as np
from numpy.typing import NDArray

from voxfield.segmentation.metrics._topology import Mask, betti_numbers, bounding_box, label_components
from voxfield.segmentation.tree._skeleton import Floats

# Bit 9 x + 3 y + z of a word stands for a voxel of the 27-box; bit 13 is its middle.
_PLACES = np.indices((3, 3, 3)).reshape(3, -1)
_STEPS = np.abs(_PLACES - 1).sum(axis=0)
Words = NDArray[np.int32]


def _word(chosen: NDArray[np.bool_]) -> np.int32:
    return np.int32(sum(1 << int(bit) for bit in np.flatnonzero(chosen)))


_SHIFTS = tuple((stride, _word(_PLACES[axis] < 2), _word(_PLACES[axis] > 0)) for axis, stride in enumerate((9, 3, 1)))
_AROUND = _word(_STEPS > 0)
_NEAR = _word((_STEPS > 0) & (_STEPS < 3))
_FACES = _word(_STEPS == 1)


def break_loops(mask: Mask, spacing: Floats, last: Mask | None = None) -> Mask:
    """The (x, y, z) mask without the voxels that close loops; `last` are those to give up last of all."""
    import edt

    if not betti_numbers(mask).tunnels:
        return mask.copy()
    box = bounding_box(mask)
    inside = np.pad(mask[box], 1)
    depth = edt.edt(inside, anisotropy=tuple(spacing), black_border=True)
    if last is not None:
        depth[np.pad(last[box], 1)] = depth.max()
    level = np.where(inside, np.ceil(depth / (spacing.min() / 2)), 0).astype(np.int32)
    flooded = _flood(inside, level)
    result = np.zeros_like(mask)
    result[box] = flooded[1:-1, 1:-1, 1:-1]
    return result


def _flood(inside: Mask, level: NDArray[np.int32]) -> Mask:
    """Simple voxels of a padded mask, taken level by level from the deepest voxel of each component."""
    flat: NDArray[np.int64] = np.asarray(np.ravel_multi_index(tuple(_PLACES), inside.shape), np.int64)
    offsets = flat - flat[13]
    heights = level.ravel()
    taken = np.zeros(inside.size, np.int8)
    taken[_deepest(inside, level)] = 1
    # No two voxels of one class are neighbours, so that a class can be taken at once.
    classes = (np.indices(inside.shape) % 2 * np.array([4, 2, 1])[:, None, None, None]).sum(axis=0).ravel()
    for lowest in np.unique(heights[heights > 0])[::-1]:
        open_ = (heights >= lowest) & (taken == 0)
        front = np.flatnonzero(open_)
        while len(front):
            fresh = []
            for number in range(8):
                some = front[classes[front] == number]
                some = some[_simple(taken, some, offsets)]
                taken[some] = 1
                fresh.append(some)
            around = np.unique(np.concatenate(fresh)[:, None] + offsets)
            front = around[open_[around] & (taken[around] == 0)]
    return taken.reshape(inside.shape) > 0


def _deepest(inside: Mask, level: NDArray[np.int32]) -> NDArray[np.int64]:
    """Flat index of the deepest voxel of each component, the first where several are."""
    parts, count = label_components(inside)
    names, heights = parts.ravel(), level.ravel()
    order = np.lexsort((np.arange(names.size), -heights, names))
    return np.asarray(order[np.searchsorted(names[order], np.arange(1, count + 1))])


def _simple(taken: NDArray[np.int8], voxels: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which voxels (m,), not taken yet, are simple."""
    word = np.zeros(len(voxels), np.int32)
    for bit, offset in enumerate(offsets):
        word |= taken[voxels + offset].astype(np.int32) << bit
    front = word & _AROUND
    back = ~word & _NEAR
    faces = back & _FACES
    one_front = (front != 0) & (_spread(front & -front, front, corners=True) == front)
    return np.asarray(one_front & (faces != 0) & (_spread(faces & -faces, back, corners=False) & _FACES == faces))


def _spread(seed: Words, ground: Words, corners: bool) -> Words:
    """Flood each word's ground from its seed, through faces only or through corners too."""
    while True:
        grown = seed
        for stride, upward, downward in _SHIFTS:
            source = grown if corners else seed
            grown = grown | ((source & upward) << stride) | ((source & downward) >> stride)
        grown &= ground
        if (grown == seed).all():
            return seed
        seed = grown
