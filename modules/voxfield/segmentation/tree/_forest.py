"""Which components belong to one tree: Kruskal's spanning forest over the cheapest links, under rules.

1. Links are taken by rising cost. A link joins two trees unless each holds a root, or unless that would leave
   fewer than the trees asked for; the trees that count for this are those of at least the minimum mass, and
   all of them once no others are left.
2. A bridge must bring in at least as many voxels as it invents: seen from the root (or the heaviest component)
   of its tree, what hangs behind a bridge (less what its own bridges invent) has to outweigh the bridge, or it
   is cut off.
3. Kept are the trees that hold a root; without roots the heaviest trees: as many as asked for, or, if the
   number is to be found, every one of at least the minimum mass, and the heaviest in any case.

The mass of a component is the sum of p over its voxels times the voxel volume: its expected volume in mm^3.
"""

from typing import NamedTuple

import numpy as np

from voxfield.segmentation.tree._paths import Link
from voxfield.segmentation.tree._skeleton import Floats, Ints

TWO_ROOTS = "joins two roots"
ENOUGH_TREES = "fewer trees than asked for"
OUTWEIGHED = "invents more than it brings in"


class Parts(NamedTuple):
    """The components 1..n of a mask; entry 0 of each array is the background.

    mass    (n + 1,) mm^3
    voxels  (n + 1,)
    roots   numbers of the components that hold a root
    """

    mass: Floats
    voxels: Ints
    roots: frozenset[int]


class Wanted(NamedTuple):
    """How many trees: `trees`, or None for as many as are found, of at least `min_mass` mm^3."""

    trees: int | None
    min_mass: float


class Forest(NamedTuple):
    """Components in trees.

    tree     (n + 1,) number of the tree that keeps a component, 1 the heaviest; 0 for a component that goes
    links    the links that are drawn
    refused  (link, why) of links that a rule spoke against
    """

    tree: Ints
    links: list[Link]
    refused: list[tuple[Link, str]]

    @property
    def size(self) -> int:
        """Number of trees."""
        return int(self.tree.max(initial=0))


def grow_forest(parts: Parts, links: list[Link], wanted: Wanted) -> Forest:
    """Apply the three rules to worthy links, cheapest first."""
    label: Ints = np.arange(len(parts.mass))
    total = parts.mass.copy()
    rooted = np.isin(label, list(parts.roots))
    drawn: list[Link] = []
    refused: list[tuple[Link, str]] = []
    for link in links:
        a, b = int(label[link.first]), int(label[link.second])
        if a == b:
            continue
        if rooted[a] and rooted[b]:
            refused.append((link, TWO_ROOTS))
        elif not _may_join(total[np.unique(label[1:])], total[a], total[b], wanted):
            refused.append((link, ENOUGH_TREES))
        else:
            total[a] += total[b]
            rooted[a] |= rooted[b]
            label[label == b] = a
            drawn.append(link)
    label, drawn, cut = _cut_poor_ends(label, drawn, parts)
    return _keep(label, drawn, refused + [(link, OUTWEIGHED) for link in cut], parts, wanted)


def _may_join(totals: Floats, a: float, b: float, wanted: Wanted) -> bool:
    if wanted.trees is None:
        return True
    both_count = min(a, b) >= wanted.min_mass
    return len(totals) > wanted.trees and not (both_count and int((totals >= wanted.min_mass).sum()) <= wanted.trees)


def _cut_poor_ends(label: Ints, links: list[Link], parts: Parts) -> tuple[Ints, list[Link], list[Link]]:
    """Rule 2: labels, 0 for components that are cut off; links that stay; links whose far side is cut off."""
    beside: dict[int, list[Link]] = {}
    for link in links:
        beside.setdefault(link.first, []).append(link)
        beside.setdefault(link.second, []).append(link)
    kept: list[Link] = []
    poor: list[Link] = []
    label = label.copy()
    for tree in np.unique(label[1:]):
        members = np.flatnonzero(label == tree)
        members = members[members > 0]
        held = [m for m in members.tolist() if m in parts.roots]
        root = held[0] if held else int(members[np.argmax(parts.mass[members])])
        order, above = _from_root(root, beside)
        gain = {node: int(parts.voxels[node]) for node in order}
        cut: set[int] = set()
        for node in reversed(order[1:]):
            link, parent = above[node]
            surplus = gain[node] - len(link.voxels)
            if surplus >= 0:
                gain[parent] += surplus
            else:
                cut.add(node)
                poor.append(link)
        for node in order[1:]:
            link, parent = above[node]
            if parent in cut or node in cut:
                cut.add(node)
                label[node] = 0
            else:
                kept.append(link)
    return label, sorted(kept, key=lambda link: (link.cost, link.first, link.second)), poor


def _from_root(root: int, beside: dict[int, list[Link]]) -> tuple[list[int], dict[int, tuple[Link, int]]]:
    """Components in breadth-first order, and the link and component above each."""
    order, above, seen = [root], dict[int, tuple[Link, int]](), {root}
    for node in order:
        for link in beside.get(node, []):
            other = link.second if link.first == node else link.first
            if other not in seen:
                seen.add(other)
                above[other] = (link, node)
                order.append(other)
    return order, above


def _keep(label: Ints, links: list[Link], refused: list[tuple[Link, str]], parts: Parts, wanted: Wanted) -> Forest:
    """Rule 3, with the trees numbered by falling mass."""
    names = np.unique(label[label > 0])
    if parts.roots:
        names = np.unique(label[sorted(parts.roots)])
    totals = np.array([parts.mass[label == name].sum() for name in names])
    order = np.lexsort((names, -totals))
    if not parts.roots:
        found = max(1, int((totals >= wanted.min_mass).sum()))
        order = order[: found if wanted.trees is None else wanted.trees]
    tree = np.zeros(len(parts.mass), np.int64)
    for number, place in enumerate(order, start=1):
        tree[label == names[place]] = number
    tree[0] = 0
    return Forest(tree, [link for link in links if tree[link.first]], refused)
