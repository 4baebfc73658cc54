"""Kriging in the ambient space, from few neighbours along the domain.

A field in R^d with independent components and a stationary kernel k is seen through tangent planes. Its value at a
target given values at some sources is a weighted sum of them, one weight for all components, so that systems have the
size of a neighbourhood. Whose neighbourhood is the domain's affair (see `_neighbourhoods`): sources of another sheet
are not asked, however near they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse

from voxfield.fields._conditional import gains
from voxfield.fields.manifold._patches import Int, Real

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


class Neighbourhoods:
    """Targets and the sources that they learn from. Distances are computed once, for a search that tries many kernels.

    points   (n, d) of the sources
    sets     (b, p) sources, -1 for none
    targets  (b, t) targets that share a set, -1 for none
    places   (targets, d) of the targets
    """

    def __init__(self, points: Real, sets: Int, targets: Int, places: Real) -> None:
        self.shape = (len(places), len(points))
        self.asked = targets[targets >= 0]
        self._sets, self._targets, self._absent = sets, targets, sets < 0
        sources = points[sets]
        self._within = _square_distances(sources, sources)
        self._across = _square_distances(places[targets], sources)
        self._kept = (targets >= 0)[:, :, None] & ~self._absent[:, None, :]

    def krige(self, kernel: Kernel, noise: Real) -> Weights:
        """Weights of the targets; `noise` as in `krige`."""
        return _assembled([self], self.shape, kernel, noise)

    def conditional(self, kernel: Kernel, noise: Real) -> tuple[Real, Real]:
        """Weights (e,) of `entries`, and variances of the targets asked; absent sources weigh nothing."""
        cross = kernel(self._across)
        weights = gains(kernel(self._within), cross, noise[self._sets], self._absent)
        variance = np.maximum(1 - np.sum(weights * cross, axis=2), 0.0)
        return weights[self._kept], variance[self._targets >= 0]

    @cached_property
    def entries(self) -> tuple[Int, Int]:
        """Targets and sources (e,) that the weights belong to."""
        rows = np.broadcast_to(self._targets[:, :, None], self._kept.shape)[self._kept]
        return rows, np.broadcast_to(self._sets[:, None, :], self._kept.shape)[self._kept]


def krige(kernel: Kernel, points: Real, noise: Real, sets: Int, targets: Int, places: Real) -> Weights:
    """Weights of targets given the sources of their sets (see `Neighbourhoods`), in parts of bounded size.

    noise  (n,) variance of the noise of the sources, the prior's being 1
    """
    size = sets.shape[1]
    step = max(1, int(CHUNK_BYTES / (8 * max(size, 1) * (size + 2 * targets.shape[1]))))
    parts = (slice(start, start + step) for start in range(0, len(sets), step))
    near = (Neighbourhoods(points, sets[part], targets[part], places) for part in parts)
    return _assembled(near, (len(places), len(points)), kernel, noise)


def _assembled(parts: Iterable[Neighbourhoods], shape: tuple[int, int], kernel: Kernel, noise: Real) -> Weights:
    rows: list[Int] = []
    columns: list[Int] = []
    values: list[Real] = []
    variance = np.ones(shape[0])
    for part in parts:
        weights, left = part.conditional(kernel, noise)
        values.append(weights)
        rows.append(part.entries[0])
        columns.append(part.entries[1])
        variance[part.asked] = left
    if not rows:
        return Weights(sparse.csr_array(shape), variance)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return Weights(sparse.coo_array(entries, shape=shape).tocsr(), variance)


def _square_distances(a: Real, b: Real) -> Real:
    """(b, t, d) and (b, p, d) to (b, t, p)."""
    middle = a[:, :1]
    a, b = a - middle, b - middle
    square = np.square(a).sum(axis=2)[:, :, None] + np.square(b).sum(axis=2)[:, None, :] - 2 * a @ b.transpose(0, 2, 1)
    return np.asarray(np.maximum(square, 0.0))
