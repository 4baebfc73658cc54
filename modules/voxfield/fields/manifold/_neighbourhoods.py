"""Neighbourhoods along a domain: which sources a place may learn from.

Nodes are gathered into cells around centres that spread over the domain. The neighbourhood of a cell is its nearest
sources, nearest along the edges; sources that are much farther along the domain than through space lie beyond a fold or
on another sheet that a stray edge joins, and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from voxfield.fields._neighbours import contiguous_blocks, nearest
from voxfield.fields.manifold._domain import Domain
from voxfield.fields.manifold._patches import Int, Real

DETOUR = 2.0
"""Way along the domain over the straight one, beyond which two places do not know of each other (a sphere: 1.6)."""
SLACK = 3.0
"""Detour in edge lengths that is always allowed: near by, a way along edges zigzags."""
CENTRES = 64
"""Centres that are treated together."""
PART = 4096
"""Places that are treated together."""


@dataclass(frozen=True)
class Cells:
    """Cells of nodes with their sources.

    cell  (n,) cell of each node
    sets  (cells, p) sources of a cell, the nearest to its centre first; -1 for none
    """

    cell: Int
    sets: Int


def cells(domain: Domain, sources: Int, size: int, members: int, seed: int) -> Cells:
    """Cells of about `members` nodes, with up to `size` sources each.

    sources  (s,) node of every source
    """
    chosen = _centres(domain, members, seed)
    _, _, owner = dijkstra(domain.lengths, directed=False, indices=chosen, min_only=True, return_predecessors=True)
    chosen = chosen[contiguous_order(domain.points[chosen])]
    place = np.full(len(domain), -1)
    place[chosen] = np.arange(len(chosen))
    sets = np.full((len(chosen), min(size, len(sources))), -1, dtype=np.int64)
    reach = _reach(domain, domain.points[chosen], sources, size)
    for start in range(0, len(chosen), CENTRES):
        part = slice(start, start + CENTRES)
        sets[part] = _nearest_sources(domain, chosen[part], sources, sets.shape[1], float(reach[part].max()))
    return Cells(place[owner], sets)


def _centres(domain: Domain, members: int, seed: int) -> Int:
    """Random nodes, at least one in every connected piece."""
    pieces = np.unique(domain.component, return_index=True)[1]
    count = max(1, len(domain) // members)
    random = np.random.default_rng(seed).choice(len(domain), size=count, replace=False)
    return np.asarray(np.union1d(random, pieces), dtype=np.int64)


def contiguous_order(points: Real) -> Int:
    """Points in an order in which neighbours in the list are neighbours in space."""
    return np.concatenate(contiguous_blocks(points, CENTRES))


def _reach(domain: Domain, centres: Real, sources: Int, size: int) -> Real:
    """How far along the domain to look for the sources of each centre."""
    asked = min(size, len(sources))
    distance = nearest(cKDTree(domain.points[sources]), centres, asked)[0][:, -1]
    return np.asarray(DETOUR * distance + SLACK * domain.spacing)


def _nearest_sources(domain: Domain, centres: Int, sources: Int, size: int, reach: float) -> Int:
    """(centres, size) the nearest sources along the domain, -1 for none."""
    low, high = domain.points[centres].min(axis=0) - reach, domain.points[centres].max(axis=0) + reach
    inside = np.flatnonzero(((domain.points >= low) & (domain.points <= high)).all(axis=1))
    local = np.full(len(domain), -1)
    local[inside] = np.arange(len(inside))
    graph = domain.lengths if len(inside) == len(domain) else domain.lengths[inside][:, inside]
    way = dijkstra(graph, directed=False, indices=local[centres], limit=reach)
    near = np.flatnonzero(local[sources] >= 0)
    way = way[:, local[sources[near]]]
    straight = np.linalg.norm(domain.points[centres][:, None] - domain.points[sources[near]], axis=2)
    way[way > DETOUR * straight + SLACK * domain.spacing] = np.inf
    order = np.argsort(np.where(np.isfinite(way), straight, np.inf), axis=1, kind="stable")[:, :size]
    found = np.where(np.isfinite(np.take_along_axis(way, order, 1)), near[order], -1)
    padded = np.full((len(centres), size), -1, dtype=np.int64)
    padded[:, : found.shape[1]] = found
    return padded


def closest(points: Real, candidates: Int, places: Real, count: int, below: Int | None = None) -> Int:
    """Of the candidates (b, p) among points, the nearest `count` to each place (b, d); -1 where there are fewer.

    below  (b,) numbers that candidates have to be smaller than
    """
    found = np.full((len(places), min(count, candidates.shape[1])), -1, dtype=np.int64)
    for start in range(0, len(places), PART):
        part = slice(start, start + PART)
        asked = candidates[part]
        usable = asked >= 0 if below is None else (asked >= 0) & (asked < below[part, None])
        distance = np.where(usable, np.linalg.norm(points[asked] - places[part, None], axis=2), np.inf)
        order = np.argsort(distance, axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(asked, order, 1)
        found[part] = np.where(np.take_along_axis(usable, order, 1), chosen, -1)
    return found


def companions(domain: Domain, nodes: Int, points: Real, count: int) -> Int:
    """(p, count) nearest earlier places of each place along the domain, -1 for none.

    nodes, points  (p,) and (p, d) of the places, in random order. The first of them are far apart and have far
                   companions, so that what is drawn one after the other is correlated over all distances.
    """
    found = np.full((len(nodes), count), -1, dtype=np.int64)
    start = 0
    while start < len(nodes):
        stop = min(max(2 * start, 4 * count), len(nodes))
        members = max(4, 4 * len(domain) // stop)
        near = cells(domain, nodes[:stop], 6 * count, members, seed=0)
        asked = np.arange(start, stop)
        sets = near.sets[near.cell[nodes[asked]]]
        chosen = closest(points, sets, points[asked], count, asked)
        found[start:stop, : chosen.shape[1]] = chosen
        start = stop
    return found
