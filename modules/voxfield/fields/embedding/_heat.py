"""Distances along a manifold from heat on a graph of its points.

Varadhan: -4 t log h_t(x, y) tends to the squared geodesic distance as t falls. On a graph, with the heat kernel h_t of
its Laplacian and sigma = `volume` (Huguet et al., "A heat diffusion perspective on geodesic preserving dimensionality
reduction", NeurIPS 2023, definition 4.1 and algorithm 1),

    d^2(i, j) = -4 t [log h_ij + sigma log V_ij],   V_ij = 2 / (h_ii + h_jj),

mixed with the triplet distances |d(i, .) - d(j, .)|, which average noise over all third points, in the share rho.

What we do differently. *Kernel*: Gaussian weights of one width between k nearest neighbours, freed of the density of
the points (Coifman and Lafon 2006, alpha = 1); with a width of its own for each point distances were worse by a factor
of three. *Heat* by 2^8 steps of implicit Euler: the inverse of an M-matrix and its powers are sums of positive terms,
so that small entries keep their digits under the logarithm; a Chebyshev series has an absolute error and no hold on
them. *Time*: the kernel of a graph is Gaussian where heat moves less than an edge a step, which asks for t of about
diameter times spacing, and more only smooths; the paper looks for a knee of the entropy. *Unit*: the one constant that
a Laplacian of points leaves open is fixed by shortest paths, so that distances are in mm. *Triplets* are brought to the
mean of the distances before they are mixed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from voxfield.errors import InputError

Floats = NDArray[np.float64]
HALVINGS = 8
WIDTH = 0.7  # of the kernel, in distances to the middle one of the neighbours
LANDMARKS = 16


@dataclass(frozen=True)
class Neighbours:
    """A graph of points.

    lengths   (n, n) symmetric, length of each edge, mm
    affinity  (n, n) symmetric, D^-1/2 W D^-1/2 of the density-free weights W with degrees D
    root      (n,) square roots of the degrees
    """

    lengths: csr_array
    affinity: csr_array
    root: Floats

    @property
    def spacing(self) -> float:
        """Median length of an edge, mm."""
        return float(np.median(self.lengths.data))


def neighbours(points: Floats, count: int, file: Path | None = None) -> Neighbours:
    """The graph of the `count` nearest neighbours; raises InputError where it falls into parts or points coincide."""
    n = len(points)
    found = cKDTree(points).query(points, count + 1)
    distance, near = np.asarray(found[0])[:, 1:], np.asarray(found[1])[:, 1:]
    if (distance[:, 0] == 0).any():
        twice = int((distance[:, 0] == 0).sum())
        raise InputError(f"{twice} of its points coincide with others; give each place once", file=file)
    ends = np.repeat(np.arange(n), count), near.ravel()
    lengths = _either(coo_array((distance.ravel(), ends), shape=(n, n)))
    parts = int(connected_components(lengths, directed=False)[0])
    if parts > 1:
        raise InputError(f"the graph of {count} neighbours falls into {parts} parts; raise `neighbours`", file=file)
    width = WIDTH * float(np.median(distance[:, (count - 1) // 2]))
    weight = np.exp(-0.25 * np.square(distance / width))
    weights = _either(coo_array((weight.ravel(), ends), shape=(n, n))) + diags_array(np.ones(n))
    free = diags_array(1 / weights.sum(axis=1))
    weights = (free @ weights @ free).tocsr()
    root = np.sqrt(weights.sum(axis=1))
    scale = diags_array(1 / root)
    return Neighbours(lengths, (scale @ weights @ scale).tocsr(), root)


def _either(edges: coo_array) -> csr_array:
    """Edges that one end or both have begun."""
    begun = edges.tocsr()
    return begun.maximum(begun.T).tocsr()


def heat_kernel(graph: Neighbours, time: float) -> Floats:
    """(n, n) h_t for the Laplacian 1 - affinity, relative to the stationary measure; every entry is positive."""
    step = time / 2**HALVINGS
    system = (1 + step) * np.eye(len(graph.root)) - step * graph.affinity.toarray()
    factor, _ = lapack.dpotrf(system, lower=1)
    heat, _ = lapack.dpotri(factor, lower=1)
    heat = np.tril(heat) + np.tril(heat, -1).T
    for _ in range(HALVINGS):
        heat = heat @ heat
    kernel: Floats = heat / graph.root / graph.root[:, None]
    return kernel


def heat_distances(graph: Neighbours, time: float, volume: float, triplet: float, file: Path | None = None) -> Floats:
    """(n, n) distances, mm; raises InputError where heat is too small for a number.

    time     in units of diameter times spacing
    volume   sigma, 0 to 1; triplet  rho, 0 to 1
    """
    chosen, ways = shortest_ways(graph)
    width = _step(graph)
    kernel = heat_kernel(graph, time * float(ways.max()) * graph.spacing / width**2)
    if not kernel.min() > 0:
        raise InputError(f"no heat goes all the way across its points in time {time:g}; raise `time`", file=file)
    own = np.diag(kernel)
    square = -np.log(kernel) - volume * np.log(2 / (own[:, None] + own))
    distances = np.sqrt(np.maximum(square, 0))
    np.fill_diagonal(distances, 0)
    if triplet:
        apart = _row_distances(distances)
        distances = (1 - triplet) * distances + triplet * apart * (distances.sum() / apart.sum())
    found, wanted = distances[chosen].ravel(), ways.ravel()
    scaled: Floats = distances * (found @ wanted) / (found @ found)
    return scaled


def shortest_ways(graph: Neighbours) -> tuple[NDArray[np.int64], Floats]:
    """Nodes that are spread over the graph, each the farthest from those before, and the ways (k, n) from them, mm."""
    chosen = [int(np.argmax(dijkstra(graph.lengths, indices=[0])[0]))]
    ways = [dijkstra(graph.lengths, indices=chosen)[0]]
    for _ in range(LANDMARKS - 1):
        chosen.append(int(np.argmax(np.min(ways, axis=0))))
        ways.append(dijkstra(graph.lengths, indices=chosen[-1:])[0])
    return np.array(chosen), np.array(ways)


def _step(graph: Neighbours) -> float:
    """Root mean square length of a step of the random walk, mm."""
    walk = diags_array(1 / graph.root) @ graph.affinity @ diags_array(graph.root)
    return float(np.sqrt(walk.multiply(graph.lengths.power(2)).sum(axis=1).mean() / 2))


def _row_distances(values: Floats) -> Floats:
    """Euclidean distances between the rows of a symmetric matrix."""
    product = values @ values
    square = np.diag(product)
    return np.sqrt(np.maximum(square[:, None] + square - 2 * product, 0))
