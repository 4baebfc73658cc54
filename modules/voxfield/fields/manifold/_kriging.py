"""Kriging in the ambient space, from few neighbours along the domain.

A field in R^d with independent components and a stationary kernel k is seen through tangent planes. Its value at a
target given values at some sources is a weighted sum of them, one weight for all components, so that systems have the
size of a neighbourhood. Whose neighbourhood is the domain's affair (see `_neighbourhoods`): sources of another sheet
are not asked, however near they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from voxfield.fields._conditional import gains
from voxfield.fields.manifold._patches import Bool, Int, Real

Smoothness = Literal["matern-3/2", "matern-5/2", "gaussian"]
CHUNK_BYTES = 5e7


@dataclass(frozen=True)
class Kernel:
    """Stationary kernel of unit variance.

    length  unit of the points
    """

    smoothness: Smoothness
    length: float

    def __call__(self, square: Real) -> Real:
        """At squared distances."""
        if self.smoothness == "gaussian":
            return np.exp(-0.5 / self.length**2 * square)
        order = 3.0 if self.smoothness == "matern-3/2" else 5.0
        r = np.sqrt(order / self.length**2 * square)
        polynomial = 1 + r if self.smoothness == "matern-3/2" else 1 + r + r * r / 3
        return np.asarray(polynomial * np.exp(-r))


@dataclass(frozen=True)
class Weights:
    """Conditional means and variances of targets.

    matrix    (targets, sources) weights
    variance  (targets,) of a component given the sources, with the prior variance 1
    """

    matrix: sparse.csr_array
    variance: Real


def krige(kernel: Kernel, points: Real, noise: Real, sets: Int, targets: Int, places: Real) -> Weights:
    """Weights of targets given the sources of their sets.

    points   (n, d) of the sources
    noise    (n,) variance of their noise, the prior's being 1
    sets     (b, p) sources, -1 for none
    targets  (b, t) targets that share a set, -1 for none
    places   (targets, d) of the targets
    """
    rows: list[Int] = []
    columns: list[Int] = []
    values: list[Real] = []
    variance = np.ones(len(places))
    size = sets.shape[1]
    step = max(1, int(CHUNK_BYTES / (8 * max(size, 1) * (size + 2 * targets.shape[1]))))
    for start in range(0, len(sets), step):
        members, asked = sets[start : start + step], targets[start : start + step]
        weights, left = _conditional(kernel, points[members], noise[members], members < 0, places[asked])
        kept = (asked >= 0)[:, :, None] & (members >= 0)[:, None, :]
        rows.append(np.broadcast_to(asked[:, :, None], kept.shape)[kept])
        columns.append(np.broadcast_to(members[:, None, :], kept.shape)[kept])
        values.append(weights[kept])
        variance[asked[asked >= 0]] = left[asked >= 0]
    if not rows:
        return Weights(sparse.csr_array((len(places), len(points))), variance)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return Weights(sparse.coo_array(entries, shape=(len(places), len(points))).tocsr(), variance)


def _conditional(kernel: Kernel, sources: Real, noise: Real, absent: Bool, targets: Real) -> tuple[Real, Real]:
    """Weights (b, t, p) and variances (b, t); absent sources are independent of everything."""
    cross = kernel(_square_distances(targets, sources))
    weights = gains(kernel(_square_distances(sources, sources)), cross, noise, absent)
    return weights, np.maximum(1 - np.sum(weights * cross, axis=2), 0.0)


def _square_distances(a: Real, b: Real) -> Real:
    """(b, t, d) and (b, p, d) to (b, t, p)."""
    middle = a[:, :1]
    a, b = a - middle, b - middle
    square = np.square(a).sum(axis=2)[:, :, None] + np.square(b).sum(axis=2)[:, None, :] - 2 * a @ b.transpose(0, 2, 1)
    return np.asarray(np.maximum(square, 0.0))
