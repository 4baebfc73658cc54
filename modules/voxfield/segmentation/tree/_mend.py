"""Turn a mask into a given number of trees without cavities, listing every voxel that is added or dropped.

The steps, in this order:

1. cavities are filled, so that nothing floats inside the lumen;
2. parts of one 26-component that touch by an edge or a corner only are joined through faces (`_contacts`);
3. components are joined by bridges along the cheapest paths on -log p and sorted into trees (`_forest`);
4. components of no tree are dropped, the bridges drawn, cavities that they close filled. A bridge that
   touches a tree that it does not belong to is given up, and step 3 is repeated without it;
5. where loops are not wanted, they are cut (`_loops`).

After it the result has exactly the trees of the forest as its 26-components and no cavity; every input voxel
of a tree is kept unless it closes a loop that is cut, and what is dropped or cut is all listed. So is every
bridge that was refused: the cheapest ones that would have joined what the result leaves apart.
"""

from typing import NamedTuple

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
from voxfield.segmentation.tree._contacts import dilate, join_contacts
from voxfield.segmentation.tree._forest import OUTWEIGHED, Forest, Parts, Wanted, grow_forest
from voxfield.segmentation.tree._loops import break_loops
from voxfield.segmentation.tree._paths import Link, cheapest_links, negative_log, shifted
from voxfield.segmentation.tree._skeleton import Floats

LUMEN, BRIDGE, FILLED = 1, 2, 3
PROBABILITY_FLOOR = 1e-6
TOO_LONG = "longer than allowed"
TOO_UNLIKELY = "less likely than allowed"
TOUCHES = "touches another tree"


class Rules(NamedTuple):
    """What is worth keeping and bridging; see `segmentation.repair` for each. `roots` (k, 3) are lumen voxels."""

    trees: int | None
    min_size_mm3: float
    max_bridge_mm: float
    min_bridge_probability: float
    faces: bool
    roots: tuple[tuple[int, int, int], ...] = ()
    loops: bool = True


class Bridge(NamedTuple):
    """A link that was drawn or refused; `kind` is "gap" or "contact" (parts that touched by an edge or a corner).

    probability  geometric mean over its voxels
    reason       why it was refused; empty where it was drawn
    """

    kind: str
    link: Link
    probability: float
    reason: str = ""


class Removed(NamedTuple):
    """Voxels that are not in the result; `centre` (3,) is their mean index.

    kind  "component" of the input that belongs to no tree, or "cut" through a loop
    """

    kind: str
    voxels: int
    mass_mm3: float
    centre: Floats


class Mended(NamedTuple):
    """labels (x, y, z) uint8: 1 input voxels, 2 bridges, 3 filled; and what was done to get there.

    cavity_voxels  voxels that were enclosed and are filled now
    face_parts     6-components of the result; more than `trees` where a contact could not be joined
    refused        the cheapest links that would have joined a tree to another or to what was dropped
    """

    labels: NDArray[np.uint8]
    trees: int
    bridges: list[Bridge]
    removed: list[Removed]
    cavity_voxels: int
    face_parts: int
    refused: list[Bridge]


def mend(probability: Floats, mask: Mask, spacing: Floats, rules: Rules) -> Mended:
    """Mend a (x, y, z) mask that is not empty, on the grid of its probability."""
    cost = negative_log(probability, PROBABILITY_FLOOR)
    weight = np.nan_to_num(probability) * float(spacing.prod())
    solid = fill_cavities(mask)
    contacts = join_contacts(solid, cost, spacing) if rules.faces else []
    touched = _drawn(contacts, solid.shape)
    solid = fill_cavities(solid | touched)
    labelled, count = label_components(solid)
    parts = Parts(
        np.bincount(labelled[mask], weight[mask], minlength=count + 1).astype(np.float64),
        np.bincount(labelled[mask], minlength=count + 1),
        frozenset(int(labelled[root]) for root in rules.roots),
    )
    # Three parts around one voxel are joined by links of one cost: the heavier pair goes first.
    links = sorted(
        _gaps(labelled, cost, spacing, rules),
        key=lambda link: (round(link.cost, 9), -parts.mass[[link.first, link.second]].sum()),
    )
    faults = {id(link): _fault(link, cost, spacing, rules) for link in links}
    forest, labels, given_up = _settle(mask, solid, labelled, parts, [x for x in links if not faults[id(x)]], rules)
    faults |= {id(link): reason for link, reason in forest.refused} | {id(link): TOUCHES for link in given_up}
    cut = np.zeros(mask.shape, bool)
    if not rules.loops:
        cut = (labels > 0) & ~break_loops(labels > 0, spacing, labels == BRIDGE)
        labels[cut] = 0
    bridges = [_bridge("gap", link, cost) for link in forest.links]
    bridges += [_bridge("contact", link, cost) for link in contacts if forest.tree[labelled[tuple(link.start)]]]
    return Mended(
        labels,
        forest.size,
        bridges,
        _removed(labelled, mask, forest.tree[labelled] == 0, weight, "component")
        + _removed(label_components(cut)[0], cut, cut, weight, "cut"),
        int(np.count_nonzero((labels == FILLED) & ~touched)),
        count_components(labels > 0, 6),
        [
            _bridge("gap", link, cost)._replace(reason=faults[id(link)] or OUTWEIGHED)
            for link in _left_apart(links, forest)
        ],
    )


def _settle(
    mask: Mask, solid: Mask, labelled: Labels, parts: Parts, worthy: list[Link], rules: Rules
) -> tuple[Forest, NDArray[np.uint8], list[Link]]:
    """Draw the forest; give up links that touch foreign trees until the 26-components are the trees."""
    given_up: list[Link] = []
    while True:
        forest = grow_forest(parts, worthy, Wanted(rules.trees, rules.min_size_mm3))
        owner = forest.tree[labelled]
        labels = np.where(owner > 0, np.where(mask, LUMEN, FILLED), 0).astype(np.uint8)
        for link in forest.links:
            labels[tuple(link.voxels.T)] = BRIDGE
            owner[tuple(link.voxels.T)] = forest.tree[link.first]
        if forest.links:
            whole = fill_cavities(labels > 0)
            labels[whole & (labels == 0)] = FILLED
        if not forest.links or count_components(labels > 0) == forest.size:
            return forest, labels, given_up
        guilty = [link for link in forest.links if _touches_foreign(link, owner)] or forest.links
        given_up.append(guilty[-1])
        worthy = [link for link in worthy if link is not guilty[-1]]


def _left_apart(links: list[Link], forest: Forest) -> list[Link]:
    """Kruskal's forest over the links that would have joined a kept tree to another or to what is dropped."""
    label = np.where(forest.tree > 0, forest.tree, np.arange(len(forest.tree)) + len(forest.tree))
    kept = forest.tree > 0
    found = []
    for link in links:
        a, b = label[link.first], label[link.second]
        if a != b and (kept[link.first] or kept[link.second]):
            label[label == b] = a
            found.append(link)
    return found


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
    ends = np.where(dilate(near & (inside == 0)), inside, 0)
    return shifted(cheapest_links(ends, cost[box], near & (inside == 0), spacing, np.inf), box)


def _drawn(links: list[Link], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    for link in links:
        mask[tuple(link.voxels.T)] = True
    return mask


def _bridge(kind: str, link: Link, cost: Floats) -> Bridge:
    return Bridge(kind, link, float(np.exp(-cost[tuple(link.voxels.T)].mean())))


def _fault(link: Link, cost: Floats, spacing: Floats, rules: Rules) -> str:
    """Why a link is not worth a bridge; nothing where it is."""
    if link.gap_mm(spacing) > rules.max_bridge_mm:
        return TOO_LONG
    if _bridge("gap", link, cost).probability < rules.min_bridge_probability:
        return TOO_UNLIKELY
    return ""


def _removed(names: Labels, mask: Mask, gone: Mask, weight: Floats, kind: str) -> list[Removed]:
    """The voxels of `mask` that are `gone`, by their names."""
    rows = np.argwhere(mask & gone)
    place = names[tuple(rows.T)]
    voxels = np.bincount(place)
    mass = np.bincount(place, weight[tuple(rows.T)])
    sums = np.stack([np.bincount(place, rows[:, a]) for a in range(3)], axis=1)
    found = [Removed(kind, int(voxels[n]), float(mass[n]), sums[n] / voxels[n]) for n in np.flatnonzero(voxels)]
    return sorted(found, key=lambda part: (-part.mass_mm3, tuple(part.centre)))
