"""The reference as a tree of branches, by the definition of ATM'22.

Zhang et al., "Multi-site, multi-domain airway tree modeling", Medical Image Analysis 90, 2023, and the challenge's
code for parsing a tree. The skeleton is cut where a voxel has more than three skeleton voxels in its 27-box
(itself included); of what is left, connected by 26, pieces under five voxels are dropped. Every voxel of the mask
belongs to the nearest piece, and regions that touch at faces are neighbours. The largest region is the root, at
generation 0; a region's generation is its distance to the root in neighbours, and its parents are the neighbours
one generation up. Parents of a common child are one branch, and so are a region and its only child; that is
repeated until every branch has one parent and no only child.

Different from the code: a mask may hold several trees, each with a root of its own; where faces do not hold a tree
together, edges and corners do; and branches are fused by union-find, where the code loses count when one of them
was fused before.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from voxfield.segmentation.metrics._foreground import Foreground, Ints
from voxfield.segmentation.tree._skeleton import FACES, HALF_NEIGHBOURHOOD, adjacency

FEWEST_VOXELS = 5
MOST_NEIGHBOURS = 3
OFFSETS = {6: FACES, 26: HALF_NEIGHBOURHOOD}


class Branches(NamedTuple):
    """A skeleton in branches.

    skeleton    (n, 3) voxels
    branch      (n,) number of the branch, from 0; empty where no piece is long enough
    generation  (b,) of each branch
    """

    skeleton: Ints
    branch: Ints
    generation: Ints


def parse(mask: Foreground, skeleton: Ints, connectivity: int) -> Branches:
    """The branches of a mask, given the voxels (n, 3) of its skeleton; connectivity 6 or 26, of regions."""
    piece, count = pieces(skeleton)
    nowhere = np.zeros(0, np.int64)
    if not count:
        return Branches(skeleton, nowhere, nowhere)
    kept = skeleton[piece >= 0]
    _, nearest = cKDTree(kept).query(mask.voxels(mask.places))
    region = piece[piece >= 0][nearest]
    size: Ints = np.bincount(region, minlength=count)
    links = _touching(mask, region, connectivity)
    merged: Ints = np.arange(count)
    while True:
        generation = _generations(size, links)
        fused = _fused(links, generation)
        if fused.max() + 1 == len(size):
            break
        merged, size = fused[merged], np.bincount(fused, size).astype(np.int64)
        links = np.unique(fused[links], axis=0)
        links = links[links[:, 0] != links[:, 1]]
    at = np.ravel_multi_index(tuple((skeleton - mask.low).T), mask.shape)
    return Branches(skeleton, merged[region[np.searchsorted(mask.places, at)]], generation)


def pieces(skeleton: Ints) -> tuple[Ints, int]:
    """Piece (n,) of each skeleton voxel (n, 3), -1 for none; and the number of pieces."""
    pairs = adjacency(skeleton)
    crowd = 1 + np.bincount(pairs.ravel(), minlength=len(skeleton))
    keep = crowd <= MOST_NEIGHBOURS
    pairs = pairs[keep[pairs].all(axis=1)]
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(skeleton),) * 2)
    _, part = connected_components(graph, directed=False)
    numbers = np.full(len(skeleton), -1)
    if len(skeleton):
        large = keep & (np.bincount(part)[part] >= FEWEST_VOXELS)
        numbers[large] = np.unique(part[large], return_inverse=True)[1]
    return numbers, int(numbers.max(initial=-1)) + 1


def _touching(mask: Foreground, region: Ints, connectivity: int) -> Ints:
    """Pairs (m, 2) of regions that touch, each in both directions."""
    pairs = []
    for offset in OFFSETS[connectivity]:
        wanted = mask.places + mask.step(offset)
        at = np.minimum(np.searchsorted(mask.places, wanted), len(wanted) - 1)
        there = mask.places[at] == wanted
        pairs.append(np.stack([region[there], region[at[there]]], axis=1))
    both = np.concatenate(pairs)
    both = both[both[:, 0] != both[:, 1]]
    return np.unique(np.concatenate([both, both[:, ::-1]]), axis=0)


def _generations(size: Ints, links: Ints) -> Ints:
    """Steps (b,) from each region to the largest of those that it is connected with."""
    graph = _graph(links, len(size))
    _, tree = connected_components(graph, directed=False)
    order = np.lexsort((np.arange(len(size)), -size, tree))
    roots = order[np.unique(tree[order], return_index=True)[1]]
    steps = dijkstra(graph, directed=False, unweighted=True, indices=roots, min_only=True)
    return np.asarray(steps, np.int64)


def _fused(links: Ints, generation: Ints) -> Ints:
    """New number (b,) of each region after fusing parents of one child, and only children with their parents."""
    down = links[generation[links[:, 1]] == generation[links[:, 0]] + 1]
    children = np.bincount(down[:, 0], minlength=len(generation))
    by_child = down[np.lexsort((down[:, 0], down[:, 1]))]
    siblings = by_child[1:, 1] == by_child[:-1, 1]
    parents = np.stack([by_child[:-1, 0][siblings], by_child[1:, 0][siblings]], axis=1)
    # What was fused as a parent waits for the next round: it may have got more children.
    alone = (children[down[:, 0]] == 1) & ~np.isin(down, parents).any(axis=1)
    graph = _graph(np.concatenate([parents, down[alone]]), len(generation))
    return np.asarray(connected_components(graph, directed=False)[1])


def _graph(links: Ints, count: int) -> csr_array:
    return coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(count, count)).tocsr()
