"""Places on a domain, at its nodes or between them: their frames and the values of the modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from voxfield.errors import InputError
from voxfield.fields._neighbours import nearest
from voxfield.fields.manifold._domain import Domain
from voxfield.fields.manifold._kriging import Kernel, krige
from voxfield.fields.manifold._modes import Modes
from voxfield.fields.manifold._patches import Int, Real

FAR = 3.0
"""Distance from the nearest node, in lengths of an edge, at which a place is not on the domain."""
NEAREST = 12
REACH = 6.0
"""Length of the kernel that frames and modes are kriged with, in lengths of an edge."""


@dataclass(frozen=True)
class Places:
    """Places on a domain.

    points    (p, d)
    nodes     (p,) nearest node
    bases     (p, a, c) orthonormal axes of the field: tangent frames (a = d, c = m), or ones (a = c = 1) for scalars
    features  (p, a, k) modes in the axes of the points
    error     (p,) estimated angle between frame and tangent plane, radian
    """

    points: Real
    nodes: Int
    bases: Real
    features: Real
    error: Real

    def __len__(self) -> int:
        return len(self.points)

    def take(self, chosen: Int | slice) -> Places:
        """Some of the places."""
        return Places(
            self.points[chosen], self.nodes[chosen], self.bases[chosen], self.features[chosen], self.error[chosen]
        )

    def project(self, values: Real) -> Real:
        """The tangent part of values (p, a, ...)."""
        inside = np.einsum("pac,pa...->pc...", self.bases, values)
        tangent: Real = np.einsum("pac,pc...->pa...", self.bases, inside)
        return tangent


def node_places(domain: Domain, modes: Modes, *, scalar: bool) -> Places:
    """All nodes of a domain."""
    bases = np.ones((len(domain), 1, 1)) if scalar else domain.frames
    error = np.zeros(len(domain)) if scalar else domain.frame_error
    return Places(domain.points, np.arange(len(domain)), bases, bases @ modes.vectors, error)


def attach(points: Real, nodes: Places, domain: Domain) -> Places:
    """Places (p, d) anywhere near the domain.

    A place that is a node has what the node has. Elsewhere projectors and modes are kriged from the nearest node and
    the nodes that edges join to it: never from a node of another sheet.
    """
    near, numbers = nearest(domain.tree, points, 1)
    distance, node = near[:, 0], numbers[:, 0]
    far = np.flatnonzero(distance > FAR * domain.spacing)
    if len(far):
        raise InputError(
            f"{len(far)} points lie off the domain, point {far[0]} by {distance[far[0]]:.3g} at edges of "
            f"{domain.spacing:.3g}; expected points within {FAR:g} edges of a node"
        )
    found = nodes.take(node)
    between = np.flatnonzero(distance > 1e-9 * domain.spacing)
    if len(between):
        around = _around(domain, node[between])
        targets = np.arange(len(between))[:, None]
        smooth, exact = Kernel("matern-5/2", REACH * domain.spacing), np.full(len(domain), 1e-9)
        matrix = krige(smooth, domain.points, exact, around, targets, points[between]).matrix
        share = matrix @ np.ones(len(domain))
        bases = _mean_bases(nodes.bases, matrix, node[between], share)
        features = (matrix @ nodes.features.reshape(len(domain), -1)).reshape(len(between), *nodes.features.shape[1:])
        features /= share[:, None, None]
        found.bases[between], found.features[between] = bases, bases @ (bases.transpose(0, 2, 1) @ features)
    return Places(points, node, found.bases, found.features, found.error)


def _around(domain: Domain, nodes: Int) -> Int:
    """(p, NEAREST + 1) a node and its nearest neighbours along edges; -1 where there are fewer."""
    pointer, neighbour, length = domain.lengths.indptr, domain.lengths.indices, domain.lengths.data
    around = np.full((len(nodes), NEAREST + 1), -1, dtype=np.int64)
    around[:, 0] = nodes
    for row, node in enumerate(nodes.tolist()):
        part = slice(pointer[node], pointer[node + 1])
        near = neighbour[part][np.argsort(length[part], kind="stable")[:NEAREST]]
        around[row, 1 : 1 + len(near)] = near
    return around


def _mean_bases(bases: Real, matrix: sparse.csr_array, nodes: Int, share: Real) -> Real:
    """Bases (p, a, c) of weighted means of projectors, turned like those of the nodes (p,)."""
    count, axes, width = bases.shape
    projectors = (bases @ bases.transpose(0, 2, 1)).reshape(count, -1)
    mean = (matrix @ projectors).reshape(-1, axes, axes) / share[:, None, None]
    _, vectors = np.linalg.eigh(mean)
    found = vectors[:, :, -width:]
    left, _, right = np.linalg.svd(found.transpose(0, 2, 1) @ bases[nodes])
    turned: Real = found @ (left @ right)
    return turned
