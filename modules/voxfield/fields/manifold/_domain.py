"""A domain that fields live on: nodes with tangent frames, joined by weighted edges. All kinds of domain become one.

The connection Laplacian has the blocks  (L v)_i = sum_j w_ij (v_i - O_ij v_j)  with O_ij the transport from j to i, and
masses mu_i; the scalar one is the same with O = 1. Modes are those of M^-1/2 L M^-1/2 (see `_modes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from voxfield.errors import InputError
from voxfield.fields.manifold._orientation import agreement, transport
from voxfield.fields.manifold._patches import Int, Real


@dataclass(frozen=True)
class Domain:
    """Nodes, frames and edges.

    points       (n, d) nodes
    frames       (n, d, m) orthonormal tangent bases
    edges        (e, 2) i < j
    weights      (e,) of the edges: a discrete Dirichlet energy is sum w_ij |v_i - O_ij v_j|^2
    mass         (n,) area or volume of the nodes; their sum is that of the domain
    frame_error  (n,) estimated angle between the frames and the tangent planes, radian; 0 where frames are given
    """

    points: Real
    frames: Real
    edges: Int
    weights: Real
    mass: Real
    frame_error: Real

    def __len__(self) -> int:
        return len(self.points)

    @property
    def dimension(self) -> int:
        """Of the manifold, m."""
        return int(self.frames.shape[2])

    @cached_property
    def tree(self) -> cKDTree:
        """Of the nodes."""
        return cKDTree(self.points)

    @cached_property
    def lengths(self) -> sparse.csr_array:
        """(n, n) symmetric, lengths of the edges."""
        i, j = self.edges.T
        length = np.linalg.norm(self.points[i] - self.points[j], axis=1)
        half = sparse.coo_array((length, (i, j)), shape=(len(self), len(self)))
        return (half + half.T).tocsr()

    @cached_property
    def spacing(self) -> float:
        """Median length of an edge."""
        return float(np.median(self.lengths.data))

    @cached_property
    def component(self) -> Int:
        """(n,) which connected piece a node belongs to."""
        return np.asarray(connected_components(self.lengths, directed=False)[1], dtype=np.int64)

    @property
    def mirrored_share(self) -> float:
        """Share of edges across which the orientation flips: 0 on an orientable manifold with sound frames."""
        return float((agreement(self.frames, self.edges) < 0).mean())

    def laplacian(self, *, scalar: bool) -> sparse.csr_array:
        """(n m, n m) connection Laplacian, or (n, n) scalar one, symmetric and positive semi-definite."""
        blocks = np.ones((len(self.edges), 1, 1)) if scalar else transport(self.frames, self.edges)
        return connection_laplacian(len(self), self.edges, self.weights, blocks)


def connection_laplacian(count: int, edges: Int, weights: Real, blocks: Real) -> sparse.csr_array:
    """Sum over edges (i, j) of w |v_i - O v_j|^2 as a matrix, for transports O (e, m, m) from j to i."""
    m = blocks.shape[1]
    i, j = edges.T
    within = np.arange(m)
    row = np.broadcast_to((m * i)[:, None, None] + within[:, None], blocks.shape).ravel()
    column = np.broadcast_to((m * j)[:, None, None] + within, blocks.shape).ravel()
    off = sparse.coo_array(((-weights[:, None, None] * blocks).ravel(), (row, column)), shape=(m * count, m * count))
    degree = np.bincount(i, weights, count) + np.bincount(j, weights, count)
    whole: sparse.csr_array = (off + off.T + sparse.diags_array(np.repeat(degree, m))).tocsr()
    return whole


def farthest_points(points: Real, count: int, *, first: int = 0, spacing: float = 0.0) -> Int:
    """Farthest-point sampling (Gonzalez 1985): each next point is the one farthest from all before it.

    Exact, in O(n) memory. Stops at `count` points, or once no point is farther than `spacing` from those taken.
    """
    if not 1 <= count <= len(points):
        raise InputError(f"{count} points are asked for out of {len(points)}; expected 1 to {len(points)}")
    chosen = [first]
    nearest = np.square(points - points[first]).sum(axis=1)
    while len(chosen) < count:
        farthest = int(np.argmax(nearest))
        if nearest[farthest] <= spacing**2:
            break
        chosen.append(farthest)
        np.minimum(nearest, np.square(points - points[farthest]).sum(axis=1), out=nearest)
    return np.array(chosen, dtype=np.int64)
