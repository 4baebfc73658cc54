"""Thinning of a mask to a skeleton of the same topology, at a cost that follows the mask and not the volume.

Lee, Kashyap and Chu, "Building skeleton models via 3-D medial surface/axis thinning algorithms", CVGIP 56(6),
1994. One pass peels the six sides of the mask in turn. Candidates are the voxels of a side that have more
than one neighbour, one component of neighbours (26-connected) and no part in the Euler characteristic; they
are judged again one after the other, in the order of the volume, and deleted where what is left of their
neighbours is still one component. Passes end when none deletes anything.

The skeleton has the voxels of `skimage.morphology.skeletonize(method="lee")`, order of sides included, with
one exception: there a cube of 2^3 or 4^3 vanishes; here the last voxel of a component stays, so that the
Betti numbers of the skeleton are those of the mask. An image of one slice is peeled within the slice only: above and
below, all of it is border, and a ribbon of even width would be eaten from its ends to a single voxel.

How it is fast: each voxel carries its 26 neighbours as the bits of one number, the verdicts on such numbers
are kept in a table, and the judgement in turn is a fixed point. Whether a candidate goes depends only on the
candidates before it, so if all are judged at once, given a guess of the others, and again where an earlier
neighbour's verdict has changed, the guess that no longer changes is the one of the sequential order.
"""

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from voxfield.segmentation.metrics._foreground import Foreground, Ints, Mask

Codes = NDArray[np.int32]
Verdicts = NDArray[np.uint8]

# In the order of the volume: the first 13 come before the voxel, and entry 25 - k is opposite to entry k.
NEIGHBOURS = tuple(o for o in product((-1, 0, 1), repeat=3) if any(o))
SIDES = ((0, -1, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0))
KNOWN, CONNECTED, CANDIDATE = 1, 2, 4


def _sharing(cell: tuple[int, ...]) -> int:
    """Bits of the neighbours that share a face, an edge or a corner of the voxel, given by its direction."""
    inside = [all(a in (0, b) for a, b in zip(o, cell, strict=True)) for o in NEIGHBOURS]
    return sum(1 << k for k, shares in enumerate(inside) if shares)


# The cells of a voxel apart from its inside: the sign of each in the Euler characteristic, and who shares it.
CELLS = tuple(((-1) ** (3 - sum(map(abs, cell))), _sharing(cell)) for cell in NEIGHBOURS)


def thin(mask: Foreground) -> Ints:
    """Voxels (n, 3) of the skeleton, in the order of the volume."""
    return mask.voxels(mask.places[_Thinning(mask).run()])


class _Thinning:
    """A mask that is being thinned; its n voxels are named by their numbers in ascending order of place.

    live        voxels not deleted yet, ascending
    neighbours  (26, n) of each voxel, n where there is none
    code        (n + 1,) neighbours that are left, as bits; -1 for a deleted voxel
    rank        (n + 1,) number of a candidate among those judged now, from 1; 0 for any other voxel
    sides       the sides that are peeled
    """

    def __init__(self, mask: Foreground) -> None:
        count = len(mask.places)
        self.live = np.arange(count)
        self.neighbours = neighbours(mask)
        self.code = np.zeros(count + 1, np.int32)
        self.rank = np.zeros(count + 1, np.int32)
        self.sides = [side for side in SIDES if not any(side[axis] for axis in mask.flat)]
        for bit, row in enumerate(self.neighbours):
            self.code[:count] |= (row < count).astype(np.int32) << bit

    def run(self) -> Ints:
        """Delete until nothing can be deleted; the voxels (n,) that are left."""
        deleted = True
        while deleted:
            deleted = False
            for side in self.sides:
                gone = self._peel(1 << NEIGHBOURS.index(side))
                if len(gone):
                    deleted = True
                    self._delete(gone)
        return self.live

    def _peel(self, bit: int) -> Ints:
        """The voxels (m,) that go from the side that the neighbour of this bit would cover."""
        codes = self.code[self.live]
        border = np.flatnonzero((codes & bit) == 0)
        chosen = border[(_verdicts(codes[border]) & CANDIDATE) > 0]
        candidates, codes = self.live[chosen], codes[chosen]
        goes = np.concatenate([[False], np.ones(len(candidates), bool)])  # entry 0 stands for any other voxel
        self.rank[candidates] = np.arange(1, len(candidates) + 1)
        doubt = np.arange(len(candidates))
        while len(doubt):
            left = codes[doubt]
            for k in range(13):
                left = left & ~(goes[self.rank[self.neighbours[k, candidates[doubt]]]].astype(np.int32) << k)
            verdict = (_verdicts(left) & CONNECTED) > 0
            turned = candidates[doubt[verdict != goes[doubt + 1]]]
            goes[doubt + 1] = verdict
            doubt = np.unique(self.rank[self.neighbours[13:, turned]])
            doubt = doubt[doubt > 0] - 1
        self.rank[candidates] = 0
        return np.asarray(candidates[goes[1:]])

    def _delete(self, gone: Ints) -> None:
        for k in range(26):
            self.code[self.neighbours[k, gone]] &= ~(1 << (25 - k))
        self.code[gone] = -1
        self.live = self.live[self.code[self.live] >= 0]


def neighbours(mask: Foreground) -> NDArray[np.int32]:
    """Numbers (26, n) of the neighbours of each of n voxels, by NEIGHBOURS; n where there is none."""
    count = len(mask.places)
    found = np.full((26, count), count, np.int32)
    places = np.append(mask.places, -1)
    for k, offset in enumerate(NEIGHBOURS[:13]):
        wanted = mask.places + mask.step(offset)
        if offset[2] == -1:
            at = np.searchsorted(mask.places, wanted)
        own = np.flatnonzero(places[at] == wanted)
        found[k, own] = at[own]
        found[25 - k, at[own]] = own
        at[own] += 1  # the next two offsets ask for the next two places
    return found


def _verdicts(codes: Codes) -> Verdicts:
    """CONNECTED and CANDIDATE of neighbourhoods (n,), looked up, and worked out where they are met first."""
    table = _table()
    found = table[codes]
    if not found.all():
        fresh = np.unique(codes[found == 0])
        table[fresh] = judge(fresh)
        found = table[codes]
    return np.asarray(found)


@cache
def _table() -> Verdicts:
    """Verdicts by code, 0 where unknown. Of its 64 MiB only the pages in use take memory."""
    return np.zeros(1 << 26, np.uint8)


def judge(codes: Codes) -> Verdicts:
    """Verdicts (n,) on neighbourhoods (n,): bits KNOWN, CONNECTED and CANDIDATE."""
    connected = _connected(codes)
    more_than_one = (codes & (codes - 1)) != 0
    candidate = connected & more_than_one & (_euler_change(codes) == 0)
    return np.asarray(KNOWN + CONNECTED * connected + CANDIDATE * candidate, np.uint8)


def _connected(codes: Codes) -> Mask:
    """Whether the neighbours (n,) are one component; no neighbour is none."""
    # Bits of the 3^3 box: the bit of the voxel itself, which is not set, comes between the halves of the code.
    cube = (codes & 0x1FFF) | ((codes >> 13) << 14)
    reached = cube & -cube
    while True:
        grown = reached
        for stride, inner in ((1, 0o333333333), (3, 0o077077077), (9, 0o000777777)):
            grown = grown | ((grown & inner) << stride) | ((grown >> stride) & inner)
        grown &= cube
        if np.array_equal(grown, reached):
            return np.asarray((reached == cube) & (cube != 0))
        reached = grown


def _euler_change(codes: Codes) -> Ints:
    """Vertices - edges + squares - cubes (n,) that would vanish with a voxel: those it shares with no neighbour."""
    change = np.full(len(codes), -1)
    for sign, sharing in CELLS:
        change += sign * ((codes & sharing) == 0)
    return change
