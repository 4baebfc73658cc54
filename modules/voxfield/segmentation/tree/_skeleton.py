"""Edges between the voxels of a skeleton, and their lengths.

Thinning (`_thinning`) keeps the topology of the mask under 26-connectivity, so a tunnel of the mask is a loop of
the skeleton and nothing else is.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

Ints = NDArray[np.integer]
Floats = NDArray[np.floating]

# One of each pair of opposite offsets of the 26-neighbourhood.
HALF_NEIGHBOURHOOD = tuple(o for o in product((-1, 0, 1), repeat=3) if o > (0, 0, 0))
FACES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def adjacency(voxels: Ints, offsets: tuple[tuple[int, ...], ...] = HALF_NEIGHBOURHOOD) -> Ints:
    """Pairs (m, 2) of rows of `voxels` (n, 3) that differ by one of the offsets."""
    if not len(voxels):
        return np.zeros((0, 2), np.int64)
    low = voxels.min(axis=0) - 1
    shape = voxels.max(axis=0) - low + 2
    flat = np.ravel_multi_index(tuple((voxels - low).T), tuple(shape))
    order = np.argsort(flat)
    ranked = flat[order]
    pairs = []
    for offset in offsets:
        wanted = flat + int(offset[0] * shape[1] * shape[2] + offset[1] * shape[2] + offset[2])
        place = np.minimum(np.searchsorted(ranked, wanted), len(ranked) - 1)
        found = np.flatnonzero(ranked[place] == wanted)
        pairs.append(np.stack([found, order[place[found]]], axis=1))
    return np.concatenate(pairs)


def spanning_edges(count: int, pairs: Ints, weights: Floats) -> Ints:
    """Edges (m, 2) of a minimum spanning forest over `count` nodes; the weights must be positive."""
    graph = coo_array((weights, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    forest = minimum_spanning_tree(graph).tocoo()
    return np.stack([forest.row, forest.col], axis=1).astype(np.int64)


def edge_lengths(voxels: Ints, pairs: Ints, spacing: Floats) -> Floats:
    """Lengths (m,) in mm of edges between voxel centres."""
    return np.asarray(np.linalg.norm((voxels[pairs[:, 0]] - voxels[pairs[:, 1]]) * spacing, axis=1))
