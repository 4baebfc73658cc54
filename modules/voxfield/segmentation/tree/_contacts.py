"""Contacts by an edge or a corner made faces: a flux needs a face where 26-connectivity needs a corner.

The 6-components of one 26-component are joined, the cheapest first, by the one or two likeliest voxels, unless
those would touch another component.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.segmentation.metrics._topology import Labels, Mask, bounding_box, label_components
from voxfield.segmentation.tree._paths import Link, cheapest_links, shifted
from voxfield.segmentation.tree._skeleton import Floats


def join_contacts(solid: Mask, cost: Floats, spacing: Floats) -> list[Link]:
    """Links of one or two voxels between the 6-components of each 26-component."""
    small, count = label_components(solid, 6)
    large, whole = label_components(solid, 26)
    if count == whole:
        return []
    sizes = np.bincount(small.ravel(), minlength=count + 1)
    home = np.zeros(count + 1, np.int64)
    home[small[solid]] = large[solid]
    order = np.lexsort((np.arange(count + 1), -sizes, home))
    order = order[home[order] > 0]
    is_main = np.zeros(count + 1, bool)
    is_main[order[np.unique(home[order], return_index=True)[1]]] = True
    minor = solid & ~is_main[small]
    box = bounding_box(minor, 3)
    minor, small, large = minor[box], small[box], large[box]
    near = dilate(minor)
    band = near & (small == 0) & ~_between(large)
    links = cheapest_links(np.where(dilate(near), small, 0), cost[box], band, spacing, np.inf)
    return _spanning(shifted([link for link in links if home[link.first] == home[link.second]], box), count)


def _between(parts: Labels) -> Mask:
    """Voxels whose 27-box holds two different components."""
    lowest = np.where(parts > 0, parts, np.iinfo(parts.dtype).max)
    highest = np.array(parts)
    for axis in range(3):
        lowest, highest = _spread(lowest, axis, np.minimum), _spread(highest, axis, np.maximum)
    return np.asarray((highest > 0) & (lowest < highest))


def dilate(mask: Mask) -> Mask:
    """Grow by one voxel in the 26-neighbourhood, one axis after the other."""
    for axis in range(3):
        mask = _spread(mask, axis, np.logical_or)
    return mask


def _spread(values: NDArray[Any], axis: int, join: np.ufunc) -> NDArray[Any]:
    """Combine each value with both neighbours along an axis."""
    low: list[slice] = [slice(None)] * 3
    high: list[slice] = [slice(None)] * 3
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    out = values.copy()
    out[tuple(high)] = join(out[tuple(high)], values[tuple(low)])
    out[tuple(low)] = join(out[tuple(low)], values[tuple(high)])
    return out


def _spanning(links: list[Link], count: int) -> list[Link]:
    """Kruskal's forest over links that are sorted by cost."""
    label = np.arange(count + 1)
    drawn = []
    for link in links:
        a, b = label[link.first], label[link.second]
        if a != b:
            label[label == b] = a
            drawn.append(link)
    return drawn
