"""Connected components by runs: stretches of voxels of one kind along the last axis.

Two runs are neighbours where one overlaps the other, moved to the row beside it; how far they may miss each other
(a voxel for edges and corners, none for faces) is the connectivity. A tree has some five times fewer runs than
voxels, and its background hardly more runs than itself.

A stretch of background between two runs may pass through whole rows. It is one run nevertheless, because at the
end of every row it passes through the layer around the volume, all of which is connected; run 0 is outside.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from voxfield.segmentation.metrics._foreground import Foreground, Ints

# Rows beside a row, one of each opposite pair: (x, y), and by how many voxels runs there may miss each other.
ROWS = {
    6: (((0, 1), 0), ((1, 0), 0)),
    18: (((0, 1), 1), ((1, 0), 1), ((1, -1), 0), ((1, 1), 0)),
    26: (((0, 1), 1), ((1, 0), 1), ((1, -1), 1), ((1, 1), 1)),
}


def count_foreground(mask: Foreground, connectivity: int) -> int:
    """Number of components of the foreground; connectivity 6, 18 or 26."""
    return int(_components(mask, *_runs(mask.places), connectivity).max(initial=-1)) + 1


def count_background(mask: Foreground, connectivity: int) -> int:
    """Number of components of the background, the outside being one; connectivity 6, 18 or 26."""
    return int(_components(mask, *_gaps(mask), connectivity).max()) + 1


def largest_component(mask: Foreground, connectivity: int) -> Foreground:
    """The component with the most voxels, the first of them where several have; the mask must not be empty."""
    starts, ends = _runs(mask.places)
    component = _components(mask, starts, ends, connectivity)
    largest = np.bincount(component, ends - starts + 1).argmax()
    return mask._replace(places=mask.places[np.repeat(component == largest, ends - starts + 1)])


def without_cavities(mask: Foreground) -> Foreground:
    """The mask with every background voxel that no 6-connected path leads out of."""
    starts, ends = _gaps(mask)
    component = _components(mask, starts, ends, 6)
    inside = component != component[0]
    fill = _stretches(starts[inside], ends[inside] - starts[inside] + 1)
    return mask._replace(places=np.sort(np.concatenate([mask.places, fill])))


def _runs(places: Ints) -> tuple[Ints, Ints]:
    """First and last place (r,) of each run of foreground."""
    return places[np.diff(places, prepend=-2) != 1], places[np.diff(places, append=-2) != 1]


def _gaps(mask: Foreground) -> tuple[Ints, Ints]:
    """First and last place (r,) of each run of background."""
    starts, ends = _runs(mask.places)
    last = int(np.prod(mask.shape)) - 1
    return np.concatenate([[0], ends + 1]), np.concatenate([starts - 1, [last]])


def _components(mask: Foreground, starts: Ints, ends: Ints, connectivity: int) -> Ints:
    """Component (r,) of each run, from 0."""
    pairs = []
    for (x, y), miss in ROWS[connectivity]:
        step = mask.step((x, y, 0))
        first = np.searchsorted(ends, starts + step - miss)
        count = np.searchsorted(starts, ends + step + miss, "right") - first
        pairs.append(np.stack([np.repeat(np.arange(len(starts)), count), _stretches(first, count)]))
    a, b = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(starts),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1])


def _stretches(first: Ints, count: Ints) -> Ints:
    """Consecutive numbers: `count` of them from each `first`."""
    before = np.cumsum(count) - count
    return np.asarray(np.repeat(first - before, count) + np.arange(count.sum()))
