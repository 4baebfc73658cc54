"""Sinkhorn with sparse Newton steps against Sinkhorn alone, and functional maps with and without the sliced term.

*Transport*: random densities in the unit square, and bumps on a sphere under squared distances along it, at falling
epsilon (in units of the largest cost); both methods stop at a marginal error of 1e-10, Sinkhorn at the latest after
as many rounds as fit in 5 times our CPU seconds. Sinkhorn is the stabilised scaling of the package
itself: a round costs two products with the kernel. A round of ours, and a Newton step, are counted alike.

*Maps*: a flat sheet without symmetry and its rolled copy, sampled differently, so that the true map is known; mean
geodesic error over the square root of the area, as the stage maps (of two maps the one that changes distances less),
with and without the sliced-transport term, beside the floor (the nearest vertex to the true place) and the alignment of
heat kernel signatures alone (nearest in descriptor space).
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from _common import Claim, cpu_ratio, finish, options
from _surfaces import closed
from voxfield.artifacts import Mesh
from voxfield.fields.manifold import from_mesh
from voxfield.fields.matching._basis import basis, signatures
from voxfield.fields.matching._functional_map import functional_map, point_map, refine
from voxfield.fields.matching._match_points import Surface, match_points
from voxfield.fields.matching._transport import sinkhorn, transport
from voxfield.fields.singularity._cells import planar_mesh

Floats = NDArray[np.float64]
ISOMETRY = 100.0  # the defaults of the stage
TRANSPORT = 1.0
EIGENFUNCTIONS = 80


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    seeds = 1 if chosen.quick else chosen.seeds
    size = 200 if chosen.quick else 400
    falls = (1e-2, 1e-3) if chosen.quick else (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
    rows = [
        against_scaling(name, make(size, np.random.default_rng(seed)), epsilon, seed, 3 if chosen.quick else 9)
        for name, make in (("square", in_square), ("sphere", on_sphere))
        for epsilon in falls
        for seed in range(seeds)
    ]
    maps = [matched(seed, 24 if chosen.quick else 28) for seed in range(2 if chosen.quick else 3 * seeds)]
    small = [row for row in rows if row["epsilon"] <= 1e-3]
    error = {name: float(np.mean([row[name] for row in maps])) for name in ("ours", "sliced term", "without")}
    claims = [
        Claim("largest marginal error", max(row["error"] for row in rows), 1e-10, "<="),
        Claim("steps over Sinkhorn's rounds, largest", max(row["steps / rounds"] for row in rows), 0.5, "<="),
        Claim("CPU over Sinkhorn's, epsilon at most 1e-3, median", median(small, "CPU ratio"), 1.0, "<="),
        Claim("map error, spacings", float(np.mean([r["spacings"] for r in maps])), 1.0, "<="),
        Claim("map error over that without the sliced term", error["ours"] / error["without"], 1.0, "<="),
    ]
    finish(chosen, claims, rows, maps)


def against_scaling(
    name: str, problem: tuple[Floats, Floats, Floats], epsilon: float, seed: int, repeats: int
) -> dict[str, Any]:
    """One row: steps, rounds, and the ratio of CPU seconds, interleaved."""
    cost, a, b = problem
    started = time.process_time()
    ours = transport(cost, a, b, epsilon)
    seconds = time.process_time() - started
    rounds = limit(cost, a, b, epsilon, 5 * seconds)
    scaled = sinkhorn(cost, a, b, epsilon, rounds=rounds)
    ratio = cpu_ratio(
        lambda: transport(cost, a, b, epsilon), lambda: sinkhorn(cost, a, b, epsilon, rounds=rounds), repeats
    )
    return {
        "densities": name, "epsilon": epsilon, "seed": seed, "n": len(a), "error": ours.error,
        "rounds + steps": ours.scalings + ours.newton, "of these Newton": ours.newton,
        "Sinkhorn rounds": scaled.scalings,
        "Sinkhorn error": scaled.error, "steps / rounds": (ours.scalings + ours.newton) / scaled.scalings,
        "CPU s": seconds, "CPU ratio": ratio,
    }  # fmt: skip


def limit(cost: Floats, a: Floats, b: Floats, epsilon: float, seconds: float) -> int:
    """Rounds of Sinkhorn that fit in some CPU seconds, at least 1,000."""
    started = time.process_time()
    sinkhorn(cost, a, b, epsilon, tolerance=0, rounds=200)
    return max(1_000, int(200 * seconds / max(time.process_time() - started, 1e-6)))


def in_square(count: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Two random point clouds with random masses; largest cost 1."""
    x, y = rng.random((count, 2)), rng.random((count, 2))
    cost = np.square(x[:, None] - y).sum(axis=2)
    return cost / cost.max(), rng.dirichlet(np.full(count, 2.0)), rng.dirichlet(np.full(count, 2.0))


def on_sphere(count: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Two bumps on one sphere, far from each other; squared great circles, largest cost 1."""
    places = closed("sphere", count).vertices
    cost = np.square(np.arccos(np.clip(places @ places.T, -1, 1)))
    first, second = (np.exp(4 * places @ axis) for axis in np.linalg.qr(rng.standard_normal((3, 3)))[0][:2])
    return cost / cost.max(), first / first.sum(), second / second.sum()


def matched(seed: int, side: int) -> dict[str, Any]:
    """One row of the second table."""
    flat, other = sheet(side, seed), sheet(side + 2, seed + 100)
    domain = from_mesh(flat)
    bent = from_mesh(rolled(other))
    here, there = basis(domain, EIGENFUNCTIONS), basis(bent, EIGENFUNCTIONS)
    unit = np.sqrt(domain.mass.sum())

    def error(points: NDArray[np.int64]) -> float:
        return float(np.linalg.norm(flat.vertices[points] - other.vertices, axis=1).mean() / unit)

    row: dict[str, Any] = {"sheet": seed, "vertices": len(flat.vertices)}
    for name, weight in (("sliced term", TRANSPORT), ("without", 0.0)):
        started = time.process_time()
        coarse = functional_map(here, there, ISOMETRY, weight, np.random.default_rng(seed))
        row[name] = error(point_map(here, there, refine(here, there, coarse)))
        row[f"first map, {name}"] = error(point_map(here, there, coarse))
        row[f"CPU s, {name}"] = time.process_time() - started
    row["ours"] = error(match_points(Surface(domain, here), Surface(bent, there), ISOMETRY, TRANSPORT,
                                     np.random.default_rng(seed))[0])  # fmt: skip
    nearest = np.asarray(cKDTree(signatures(here)).query(signatures(there))[1])
    floor = np.asarray(cKDTree(flat.vertices).query(other.vertices)[1])
    spacings = row["ours"] * unit / domain.spacing
    return row | {"signatures alone": error(nearest), "floor": error(floor), "spacings": spacings}


def sheet(side: int, seed: int) -> Mesh:
    """A flat sheet without symmetry, about 100 mm across, vertices jittered on a grid."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(-1, 1, side)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2) + rng.uniform(-0.6, 0.6, (side**2, 2)) / side
    angle = np.arctan2(points[:, 1], points[:, 0])
    outline = 0.65 * (1 + 0.25 * np.cos(angle) + 0.2 * np.cos(2 * angle + 4.5) + 0.15 * np.cos(3 * angle + 6))
    mesh = planar_mesh(50 * points[np.hypot(*points.T) < outline])
    sides = mesh.vertices[mesh.triangles] - mesh.vertices[np.roll(mesh.triangles, 1, axis=1)]
    kept = mesh.triangles[np.linalg.norm(sides, axis=2).max(axis=1) < 400 / side]
    used, place = np.unique(kept, return_inverse=True)
    return Mesh(mesh.vertices[used], place.reshape(-1, 3))


def rolled(mesh: Mesh, radius: float = 20.0) -> Mesh:
    """The sheet bent around a cylinder."""
    x, y, _ = mesh.vertices.T
    return Mesh(np.stack([radius * np.sin(x / radius), y, radius * np.cos(x / radius)], axis=1), mesh.triangles)


def median(rows: list[dict[str, Any]], name: str) -> float:
    """Median of a column."""
    return float(np.median([row[name] for row in rows]))


if __name__ == "__main__":
    main()
