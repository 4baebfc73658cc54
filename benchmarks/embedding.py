"""Distances and layouts of `fields.embed` against shortest paths, diffusion maps and PHATE's potential distances.

Swiss rolls (dense, sparse so that neighbours reach the next turn here and there, noisy) and spheres, whose geodesic
distances are known: the correlation of each method's distances with them, and of the distances in its layout by the
same metric scaling. All methods share one graph. Shortest paths are Isomap's distances (Tenenbaum et al. 2000);
diffusion distances are those of diffusion maps at 8 steps of the walk (Coifman and Lafon 2006), potential distances
those of PHATE, |log P^t_i - log P^t_j|, at 32 steps (Moon et al. 2019), written here from the papers.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist

from _common import Claim, finish, options
from voxfield.fields.embedding._heat import Neighbours, heat_distances, neighbours
from voxfield.fields.embedding._scaling import scale

Floats = NDArray[np.float64]
NEIGHBOURS = 12  # the defaults of the stage
TIME, VOLUME, TRIPLET = 1.0, 1.0, 0.0
METHODS: dict[str, Callable[[Neighbours], Floats]] = {
    "heat": lambda graph: heat_distances(graph, TIME, VOLUME, TRIPLET),
    "shortest paths": lambda graph: np.asarray(dijkstra(graph.lengths, directed=False)),
    "diffusion": lambda graph: row_distances(walk(graph, 8) / graph.root),
    "potential": lambda graph: row_distances(np.log(walk(graph, 32) + 1e-7)),
}


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    rows = [
        measure(name, cloud(np.random.default_rng(seed)), method, seed)
        for name, cloud in CLOUDS.items()
        for seed in range(1 if chosen.quick else chosen.seeds)
        for method in (("heat", "shortest paths") if chosen.quick else METHODS)
    ]

    def mean(cloud: str, method: str) -> float:
        return float(np.mean([r["distances"] for r in rows if (r["cloud"], r["method"]) == (cloud, method)]))

    claims = [
        Claim("heat on a dense roll", mean("roll, 1000", "heat"), 0.99, ">="),
        Claim("heat on a sphere", mean("sphere, 600", "heat"), 0.97, ">="),
        Claim("heat less paths where the graph has short circuits",
              mean("roll, 600", "heat") - mean("roll, 600", "shortest paths"), 0.0, ">="),
    ]  # fmt: skip
    finish(chosen, claims, rows)


def measure(name: str, cloud: tuple[Floats, Floats], method: str, seed: int) -> dict[str, Any]:
    """One row: Pearson's correlation with the geodesic distances."""
    points, truth = cloud
    graph = neighbours(points, NEIGHBOURS)
    started = time.process_time()
    distances = METHODS[method](graph)
    seconds = time.process_time() - started
    layout, stress = scale(distances, 2 if name.startswith("roll") else 3)
    upper = np.triu_indices(len(points), 1)
    found = {"distances": distances, "layout": cdist(layout, layout)}
    scores = {key: float(np.corrcoef(value[upper], truth[upper])[0, 1]) for key, value in found.items()}
    return {"cloud": name, "seed": seed, "method": method, **scores, "stress": stress, "CPU s": seconds}


def walk(graph: Neighbours, steps: int) -> Floats:
    """(n, n) probabilities of the random walk after some steps, a power of two."""
    power = graph.affinity.toarray()
    for _ in range(int(np.log2(steps))):
        power = power @ power
    found: Floats = power * graph.root / graph.root[:, None]
    return found


def row_distances(values: Floats) -> Floats:
    """Euclidean distances between rows."""
    square = np.square(values).sum(axis=1)
    found: Floats = np.sqrt(np.maximum(square[:, None] + square - 2 * values @ values.T, 0))
    return found


def roll(count: int, noise: float) -> Callable[[np.random.Generator], tuple[Floats, Floats]]:
    """A swiss roll and the distances on its unrolled sheet."""

    def make(rng: np.random.Generator) -> tuple[Floats, Floats]:
        angle, height = 1.5 * np.pi * (1 + 2 * rng.random(count)), 21 * rng.random(count)
        flat = np.stack([0.5 * (angle * np.sqrt(1 + angle**2) + np.arcsinh(angle)), height], axis=1)
        points = np.stack([angle * np.cos(angle), height, angle * np.sin(angle)], axis=1)
        return points + noise * rng.standard_normal(points.shape), cdist(flat, flat)

    return make


def ball(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The unit sphere and its great circles."""
    points = rng.standard_normal((600, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, np.arccos(np.clip(points @ points.T, -1, 1))


CLOUDS = {
    "roll, 1000": roll(1000, 0.0),
    "roll, 600": roll(600, 0.0),
    "roll, 1000, noise": roll(1000, 0.6),
    "sphere, 600": ball,
}


if __name__ == "__main__":
    main()
