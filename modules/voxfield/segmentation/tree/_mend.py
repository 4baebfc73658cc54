"""Turn a mask into a given number of trees without cavities, listing every voxel that is added or dropped.

The steps, in this order:

1. cavities are filled, so that nothing floats inside the lumen;
2. parts of one 26-component that touch by an edge or a corner only are joined through faces (a flux needs a
   face) by the one or two likeliest voxels, unless those would touch another component;
3. components are joined by bridges along the cheapest paths on -log p and sorted into trees (`_forest`);
4. components of no tree are dropped, the bridges drawn, cavities that they close filled. A bridge that
   touches a tree that it does not belong to is given up, and step 3 is repeated without it.

After it the result has exactly the trees of the forest as its 26-components and no cavity; every input voxel
of a tree is kept, and those of other components are all listed.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxfield.segmentation.metrics._topology import (
    Labels,
    Mask,
    bounding_box,
    count_components,
    fill_cavities,
    label_components,
)
from voxfield.segmentation.tree._forest import Forest, grow_forest
from voxfield.segmentation.tree._paths import Link, cheapest_links, dearest_cost, negative_log
from voxfield.segmentation.tree._skeleton import Floats, Ints

LUMEN, BRIDGE, FILLED = 1, 2, 3
PROBABILITY_FLOOR = 1e-6


class Rules(NamedTuple):
    """What is worth keeping and bridging; see `segmentation.repair` for each."""

    trees: int | None
    min_size_mm3: float
    max_bridge_mm: float
    min_bridge_probability: float
    faces: bool


class Bridge(NamedTuple):
    """A link that was drawn; `kind` is "gap" or "contact" (parts that touched by an edge or a corner)."""

    kind: str
    link: Link
    probability: float


class Removed(NamedTuple):
    """A 26-component of the input that belongs to no tree; `centre` (3,) is its mean voxel index."""

    voxels: int
    mass_mm3: float
    centre: Floats


class Mended(NamedTuple):
    """labels (x, y, z) uint8: 1 input voxels, 2 bridges, 3 filled; and what was done to get there.

    cavity_voxels  voxels that were enclosed and are filled now
    face_parts     6-components of the result; more than `trees` where a contact could not be joined
    open_gaps      links between kept trees that were not worth a bridge or not wanted, cheapest first
    """

    labels: NDArray[np.uint8]
    trees: int
    bridges: list[Bridge]
    removed: list[Removed]
    cavity_voxels: int
    face_parts: int
    open_gaps: list[Bridge]


def mend(probability: Floats, mask: Mask, spacing: Floats, rules: Rules) -> Mended:
    """Mend a (x, y, z) mask that is not empty, on the grid of its probability."""
    cost = negative_log(probability, PROBABILITY_FLOOR)
    voxel_mm3 = float(spacing.prod())
    solid = fill_cavities(mask)
    cavity = solid & ~mask
    contacts = _join_contacts(solid, cost, spacing) if rules.faces else []
    if contacts:
        drawn = _drawn(contacts, solid.shape)
        filled = fill_cavities(solid | drawn)
        cavity |= filled & ~solid & ~drawn
        solid = filled
    parts, count = label_components(solid)
    voxels = np.bincount(parts[mask], minlength=count + 1)
    mass = np.bincount(parts[mask], np.nan_to_num(probability[mask]), minlength=count + 1) * voxel_mm3
    links = _gaps(parts, cost, spacing, rules)
    worthy = [link for link in links if _worth(link, cost, spacing, rules)]
    forest, labels = _settle(mask, solid, parts, mass, voxels, worthy, rules)

    cavity = (cavity & (labels == FILLED)) | ((labels == FILLED) & ~solid)
    bridges = [_bridge("gap", link, cost) for link in forest.links]
    bridges += [_bridge("contact", link, cost) for link in contacts if labels[tuple(link.start)]]
    between = [
        _bridge("gap", link, cost)
        for link in links
        if forest.tree[link.first] and forest.tree[link.second] and forest.tree[link.first] != forest.tree[link.second]
    ]
    return Mended(
        labels,
        forest.size,
        bridges,
        _removed(parts, mask, mass, voxels, forest),
        int(cavity.sum()),
        count_components(labels > 0, 6),
        between,
    )


def _settle(
    mask: Mask, solid: Mask, parts: Labels, mass: Floats, voxels: Ints, worthy: list[Link], rules: Rules
) -> tuple[Forest, NDArray[np.uint8]]:
    """Draw the forest; give up links that touch foreign trees until the 26-components are the trees."""
    while True:
        forest = grow_forest(mass, voxels, worthy, rules.trees, rules.min_size_mm3)
        owner = forest.tree[parts]
        labels = np.where(owner > 0, np.where(mask, LUMEN, FILLED), 0).astype(np.uint8)
        for link in forest.links:
            labels[tuple(link.voxels.T)] = BRIDGE
            owner[tuple(link.voxels.T)] = forest.tree[link.first]
        if forest.links:
            whole = fill_cavities(labels > 0)
            labels[whole & (labels == 0)] = FILLED
        if not forest.links or count_components(labels > 0) == forest.size:
            return forest, labels
        guilty = [link for link in forest.links if _touches_foreign(link, owner)] or forest.links
        worthy = [link for link in worthy if link is not guilty[-1]]


def _touches_foreign(link: Link, owner: Labels) -> bool:
    mine = owner[tuple(link.start)]
    for voxel in link.voxels:
        near = owner[tuple(slice(max(v - 1, 0), v + 2) for v in voxel)]
        if ((near > 0) & (near != mine)).any():
            return True
    return False


def _gaps(parts: Labels, cost: Floats, spacing: Floats, rules: Rules) -> list[Link]:
    """Candidate links between components, searched only where a bridge of the allowed length could run."""
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if np.count_nonzero(sizes) < 2 or rules.max_bridge_mm == 0:
        return []
    import edt

    minor = (parts > 0) & (parts != int(sizes.argmax()))
    reach = np.ceil(rules.max_bridge_mm / spacing).astype(int)
    box = bounding_box(minor, int(reach.max()))
    minor, inside = minor[box], parts[box]
    # A voxel of the straight way across a gap of L is within L / 2 of its ends and within L of a minor
    # component.
    near = edt.edt(np.ascontiguousarray(inside == 0), anisotropy=tuple(spacing)) <= rules.max_bridge_mm / 2
    near &= edt.edt(np.ascontiguousarray(~minor), anisotropy=tuple(spacing)) <= rules.max_bridge_mm
    limit = dearest_cost(rules.max_bridge_mm, rules.min_bridge_probability)
    ends = np.where(_dilate(near & (inside == 0)), inside, 0)
    return _shifted(cheapest_links(ends, cost[box], near & (inside == 0), spacing, limit), box)


def _join_contacts(solid: Mask, cost: Floats, spacing: Floats) -> list[Link]:
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
    near = _dilate(minor)
    band = near & (small == 0) & ~_between(large)
    links = cheapest_links(np.where(_dilate(near), small, 0), cost[box], band, spacing, np.inf)
    return _spanning(_shifted([link for link in links if home[link.first] == home[link.second]], box), count)


def _between(parts: Labels) -> Mask:
    """Voxels whose 27-box holds two different components."""
    lowest = np.where(parts > 0, parts, np.iinfo(parts.dtype).max)
    highest = np.array(parts)
    for axis in range(3):
        lowest, highest = _spread(lowest, axis, np.minimum), _spread(highest, axis, np.maximum)
    return np.asarray((highest > 0) & (lowest < highest))


def _dilate(mask: Mask) -> Mask:
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


def _shifted(links: list[Link], box: tuple[slice, slice, slice]) -> list[Link]:
    origin = np.array([s.start for s in box])
    return [
        link._replace(voxels=link.voxels + origin, start=link.start + origin, end=link.end + origin) for link in links
    ]


def _drawn(links: list[Link], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    for link in links:
        mask[tuple(link.voxels.T)] = True
    return mask


def _bridge(kind: str, link: Link, cost: Floats) -> Bridge:
    return Bridge(kind, link, float(np.exp(-cost[tuple(link.voxels.T)].mean())))


def _worth(link: Link, cost: Floats, spacing: Floats, rules: Rules) -> bool:
    likely = _bridge("gap", link, cost).probability >= rules.min_bridge_probability
    return likely and link.gap_mm(spacing) <= rules.max_bridge_mm


def _removed(parts: Labels, mask: Mask, mass: Floats, voxels: Ints, forest: Forest) -> list[Removed]:
    gone = np.flatnonzero((forest.tree == 0) & (voxels > 0))
    gone = gone[gone > 0]
    if not len(gone):
        return []
    rows = np.argwhere(mask & (forest.tree[parts] == 0))
    names = parts[tuple(rows.T)]
    sums = np.stack([np.bincount(names, rows[:, a], minlength=len(mass)) for a in range(3)], axis=1)
    found = [Removed(int(voxels[n]), float(mass[n]), sums[n] / voxels[n]) for n in gone]
    return sorted(found, key=lambda part: (-part.mass_mm3, tuple(part.centre)))
