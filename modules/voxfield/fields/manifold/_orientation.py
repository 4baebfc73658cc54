"""Consistent orientation of tangent frames, and transport between them.

Frames are turned the same way round along a minimum spanning tree of the edges, on which neighbouring tangent planes
agree best (Hoppe et al., SIGGRAPH 1992, for normals). Transport from j to i is the rotation nearest to T_i^T T_j
(orthogonal Procrustes, as in RVGP) but with determinant +1: a reflection is no transport.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from voxfield.fields.manifold._patches import Int, Real


def agreement(frames: Real, edges: Int) -> Real:
    """det(T_i^T T_j) of edges (e, 2): the product of the cosines between tangent planes, negative where mirrored."""
    return np.asarray(np.linalg.det(_overlap(frames, edges)))


def orient(frames: Real, edges: Int) -> Real:
    """Frames (n, d, m) with the last axis turned so that neighbours agree wherever the manifold allows it."""
    count = len(frames)
    cost = 1.0 + 1e-9 - np.abs(agreement(frames, edges)).clip(max=1.0)
    tree = minimum_spanning_tree(sparse.coo_array((cost, edges.T), shape=(count, count)).tocsr())
    sign = np.ones(count)
    _, piece = connected_components(tree, directed=False)
    for root in np.unique(piece, return_index=True)[1]:
        order, parent = breadth_first_order(tree, root, directed=False)
        steps = np.stack([order[1:], parent[order[1:]]], axis=1).astype(np.int64)
        turns = np.where(agreement(frames, steps) < 0, -1.0, 1.0)
        for (node, before), turn in zip(steps.tolist(), turns.tolist(), strict=True):
            sign[node] = sign[before] * turn
    turned = frames.copy()
    turned[:, :, -1] *= sign[:, None]
    return turned


def transport(frames: Real, edges: Int) -> Real:
    """(e, m, m) rotations O with T_i O ~ T_j: coordinates at j to coordinates at i, for edges (i, j)."""
    left, _, right = np.linalg.svd(_overlap(frames, edges))
    sign = np.sign(np.linalg.det(left @ right))
    left[:, :, -1] *= np.where(sign == 0, 1.0, sign)[:, None]
    rotation: Real = left @ right
    return rotation


def _overlap(frames: Real, edges: Int) -> Real:
    overlap: Real = frames[edges[:, 0]].transpose(0, 2, 1) @ frames[edges[:, 1]]
    return overlap
