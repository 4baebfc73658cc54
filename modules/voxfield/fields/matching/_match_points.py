"""Which vertex of one surface is which of another: the map, of two, that changes distances least.

The sliced-transport term (see `_functional_map`) leads the refinement to a better map on most pairs and to a worse one
on some: over 16 pairs of sheets it gains nothing in the mean. Both maps are refined, and distances along the surfaces,
which know no truth, choose.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import dijkstra

from voxfield.fields.manifold._domain import Domain, farthest_points
from voxfield.fields.matching._basis import Basis
from voxfield.fields.matching._functional_map import Integers, functional_map, point_map, refine

LANDMARKS = 12


@dataclass(frozen=True)
class Surface:
    """A surface and its eigenfunctions."""

    domain: Domain
    basis: Basis


def match_points(
    source: Surface, target: Surface, isometry: float, transport: float, rng: np.random.Generator
) -> tuple[Integers, float]:
    """(n_target,) the source vertex of each target vertex, and the change of distances under the map."""
    found = []
    for weight in dict.fromkeys((transport, 0.0)):
        coarse = functional_map(source.basis, target.basis, isometry, weight, rng)
        points = point_map(source.basis, target.basis, refine(source.basis, target.basis, coarse))
        found.append((points, change_of_distances(source.domain, target.domain, points)))
    return min(found, key=lambda one: one[1])


def change_of_distances(source: Domain, target: Domain, points: Integers) -> float:
    """Mean |d1(T x, T y) - d2(x, y)| over mean d2, for landmarks x and all y, along edges, areas made equal."""
    chosen = farthest_points(target.points, min(LANDMARKS, len(target)))
    there = dijkstra(target.lengths, directed=False, indices=chosen)
    here = dijkstra(source.lengths, directed=False, indices=points[chosen])[:, points]
    scale = np.sqrt(target.mass.sum() / source.mass.sum())
    return float(np.abs(scale * here - there).mean() / there.mean())
