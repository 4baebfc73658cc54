"""Which components belong to one tree: Kruskal's spanning forest over the cheapest links, under rules.

1. Links are taken by rising cost. A link joins two trees unless that would leave fewer than the trees asked
   for; the trees that count for this are those of at least the minimum mass, and all of them once no others
   are left.
2. A bridge must bring in at least as many voxels as it invents: seen from the heaviest component of its tree,
   what hangs behind a bridge (less what its own bridges invent) has to outweigh the bridge, or it is cut off.
3. Kept are the heaviest trees: as many as asked for, or, if the number is to be found, every one of at least
   the minimum mass, and the heaviest in any case.

The mass of a component is the sum of p over its voxels times the voxel volume: its expected volume in mm^3.
"""

from typing import NamedTuple

import numpy as np

from voxfield.segmentation.tree._paths import Link
from voxfield.segmentation.tree._skeleton import Floats, Ints


class Forest(NamedTuple):
    """Components 1..n in trees; entry 0 of the arrays is the background.

    tree     (n + 1,) number of the tree that keeps a component, 1 the heaviest; 0 for a component that goes
    links    the links that are drawn
    """

    tree: Ints
    links: list[Link]

    @property
    def size(self) -> int:
        """Number of trees."""
        return int(self.tree.max(initial=0))


def grow_forest(mass: Floats, voxels: Ints, links: list[Link], trees: int | None, min_mass: float) -> Forest:
    """Apply the three rules.

    mass, voxels  (n + 1,) per component, entry 0 unused
    links         worthy links, cheapest first
    trees         the number asked for, or None for as many as are found
    """
    label: Ints = np.arange(len(mass))
    total = mass.copy()
    drawn: list[Link] = []
    for link in links:
        a, b = int(label[link.first]), int(label[link.second])
        if a == b or not _may_join(total[np.unique(label[1:])], total[a], total[b], trees, min_mass):
            continue
        total[a] += total[b]
        label[label == b] = a
        drawn.append(link)
    label, drawn = _cut_poor_ends(label, drawn, mass, voxels)
    return _keep_heaviest(label, drawn, mass, trees, min_mass)


def _may_join(totals: Floats, a: float, b: float, trees: int | None, min_mass: float) -> bool:
    if trees is None:
        return True
    both_count = min(a, b) >= min_mass
    return len(totals) > trees and not (both_count and int((totals >= min_mass).sum()) <= trees)


def _cut_poor_ends(label: Ints, links: list[Link], mass: Floats, voxels: Ints) -> tuple[Ints, list[Link]]:
    """Rule 2. Components that are cut off get label 0."""
    beside: dict[int, list[Link]] = {}
    for link in links:
        beside.setdefault(link.first, []).append(link)
        beside.setdefault(link.second, []).append(link)
    kept: list[Link] = []
    label = label.copy()
    for tree in np.unique(label[1:]):
        members = np.flatnonzero(label == tree)
        members = members[members > 0]
        root = int(members[np.argmax(mass[members])])
        order, above = _from_root(root, beside)
        gain = {node: int(voxels[node]) for node in order}
        cut: set[int] = set()
        for node in reversed(order[1:]):
            link, parent = above[node]
            surplus = gain[node] - len(link.voxels)
            if surplus >= 0:
                gain[parent] += surplus
            else:
                cut.add(node)
        for node in order[1:]:
            link, parent = above[node]
            if parent in cut or node in cut:
                cut.add(node)
                label[node] = 0
            else:
                kept.append(link)
    return label, sorted(kept, key=lambda link: (link.cost, link.first, link.second))


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


def _keep_heaviest(label: Ints, links: list[Link], mass: Floats, trees: int | None, min_mass: float) -> Forest:
    """Rule 3, with the trees numbered by falling mass."""
    names = np.unique(label[label > 0])
    totals = np.array([mass[label == name].sum() for name in names])
    order = np.lexsort((names, -totals))
    wanted = max(1, int((totals >= min_mass).sum())) if trees is None else trees
    tree = np.zeros(len(mass), np.int64)
    for number, place in enumerate(order[:wanted], start=1):
        tree[label == names[place]] = number
    tree[0] = 0
    return Forest(tree, [link for link in links if tree[link.first]])
