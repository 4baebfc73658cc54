"""Laplace's equation in a bent branching tube of voxels, against scipy and pyamg; Laplace coordinates and thickness.

Walls are insulated, the ends are held at 0 and 1, relative residual 1e-8. All start from the assembled system, peers
from the matrix and ours from the network of faces; assembly and set-up together are a column of their own. Times
are CPU seconds, medians of repeats in which all solvers take turns; memory is the peak of all arrays during set-up and
solve, the system included. `--device cuda` times the solver on boxes of torch tensors there, else it runs on the CPU
for its iterations.

The averaging loop is that of tools for cortical and hippocampal coordinates: every voxel becomes the mean of those of
its 18 neighbours that lie in the region or on a surface, from .5 on, until the summed squared change is below 1e-5.
"""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pyamg
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg, spsolve

from _common import Claim, finish, options
from voxfield.pde.voxels import VoxelPoisson, laplace_coordinates
from voxfield.pde.voxels._network import Network
from voxfield.pde.voxels._solver import NetworkSolver

Floats = NDArray[np.float64]
Spacing = tuple[float, float, float]
CUBES, PLATES = (1.0, 1.0, 1.0), (1.0, 1.0, 4.0)
RTOL = 1e-8
REPEATS, REPEATS_QUICK, REPEATS_LARGEST = 9, 3, 1
LARGE = 200
CHANGE = 1e-5


@dataclass(frozen=True)
class Run:
    """One solver on one system: CPU seconds of its parts, and what it found."""

    setup: float
    solve: float
    iterations: int
    values: Floats

    @property
    def total(self) -> float:
        """Seconds of both."""
        return self.setup + self.solve


def tube(n: int) -> NDArray[np.bool_]:
    """A tube through a box of n voxels a side that bends and branches; 1 voxel of 22 is inside."""
    x, y, z = np.meshgrid(*[(np.arange(n) + 0.5) / n] * 3, indexing="ij", sparse=True)
    trunk = np.hypot(x - 0.4 - 0.2 * np.sin(np.pi * z), y - 0.4 - 0.1 * np.sin(2 * np.pi * z)) < 0.108
    along = z - 0.45
    branch = (np.hypot(x - 0.6 - 0.45 * along, y - 0.42 - 0.75 * along) < 0.075) & (along > 0)
    return trunk | branch


def ours(network: Network, rhs: Floats, *, device: str | None = None) -> Run:
    """Our multigrid, on gathered voxels or on a torch device."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    started = clock()
    solver = NetworkSolver(network, rtol=RTOL, device=device)
    ready = clock()
    found = solver.solve(rhs[:, None])
    return Run(ready - started, clock() - ready, found.iterations, found.values[:, 0])


def system(mask: NDArray[np.bool_], labels: NDArray[np.uint8], spacing: Spacing, high: int) -> tuple[Network, Floats]:
    """The system of a mask between two labels, with 1 at the higher one, and its right side."""
    kinds = dict.fromkeys((high - 1, high), "dirichlet")
    solver = VoxelPoisson(mask, spacing, walls=labels, conditions=kinds)
    faces = solver.faces[high]
    load = np.bincount(faces.cells, weights=2 / faces.steps**2, minlength=solver.domain.size)
    return solver.solver.network, np.asarray(load, dtype=float)


def jacobi(matrix: sparse.csr_array, rhs: Floats) -> Run:
    """Conjugate gradients of scipy, scaled by the diagonal."""
    started, count = time.process_time(), [0]
    inverse = sparse.diags_array(1 / matrix.diagonal())
    ready = time.process_time()
    values, _ = cg(matrix, rhs, rtol=RTOL, M=inverse, maxiter=20000, callback=lambda _: count.append(0))
    return Run(ready - started, time.process_time() - ready, len(count) - 1, values)


def amg(make: Callable[[sparse.csr_matrix], Any]) -> Callable[[sparse.csr_array, Floats], Run]:
    """Conjugate gradients of pyamg with one of its hierarchies."""

    def run(matrix: sparse.csr_array, rhs: Floats) -> Run:
        started = time.process_time()
        levels = make(sparse.csr_matrix(matrix))
        ready = time.process_time()
        norms: list[float] = []
        values = levels.solve(rhs, tol=RTOL, accel="cg", maxiter=200, residuals=norms)
        return Run(ready - started, time.process_time() - ready, len(norms) - 1, values)

    return run


PEERS = {
    "scipy CG + Jacobi": jacobi,
    "pyamg Ruge-Stueben + CG": amg(pyamg.ruge_stuben_solver),
    "pyamg smoothed aggregation + CG": amg(pyamg.smoothed_aggregation_solver),
}


def compare(n: int, spacing: Spacing, repeats: int, device: str) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """All solvers on one tube: rows of the table, and the ratios that are claimed."""
    mask = tube(n)
    ends = np.zeros(mask.shape, dtype=np.uint8)
    ends[:, :, 0], ends[:, :, -1] = 1, 2
    network, rhs = system(mask, ends, spacing, 2)
    matrix = network.matrix
    runs: dict[str, Callable[[], Run]] = {"ours": lambda: ours(network, rhs)}
    runs |= {name: (lambda peer=peer: peer(matrix, rhs)) for name, peer in PEERS.items()}
    peaks = {name: peak(run) for name, run in runs.items()} if spacing == CUBES else {}
    held = {"ours": _megabytes(network.cells, network.lower, network.upper, network.conductance, network.leak)}
    held |= dict.fromkeys(PEERS, _megabytes(matrix.data, matrix.indices, matrix.indptr))
    took = [{name: run() for name, run in runs.items()} for _ in range(repeats)]
    if device == "cuda" or n < LARGE:
        took[0]["ours, boxed"] = ours(network, rhs, device=device)
    started = time.process_time()
    system(mask, ends, spacing, 2)
    from_mask = time.process_time() - started
    rows = [
        {
            "box": n,
            "voxels": len(rhs),
            "spacing": "x".join(f"{h:g}" for h in spacing),
            "solver": name,
            "from the mask, s": from_mask if name == "ours" else None,
            "set-up, s": median(turn[name].setup for turn in took if name in turn),
            "solve, s": median(turn[name].solve for turn in took if name in turn),
            "iterations": took[0][name].iterations,
            "residual": float(np.linalg.norm(rhs - matrix @ took[0][name].values) / np.linalg.norm(rhs)),
            "peak, MB": peaks[name] + held[name] if name in peaks else None,
        }
        for name in took[0]
    ]
    peers = [min(turn[name].total for name in PEERS) for turn in took]
    multigrid = [min(turn[name].total for name in list(PEERS)[1:]) for turn in took]
    return rows, {
        "total": median(turn["ours"].total for turn in took),
        "over fastest": median(turn["ours"].total / peer for turn, peer in zip(took, peers, strict=True)),
        "later": median(turn["ours"].solve / peer for turn, peer in zip(took, multigrid, strict=True)),
    }


def _megabytes(*arrays: NDArray[Any]) -> float:
    return sum(array.nbytes for array in arrays) / 1e6


def peak(run: Callable[[], Run]) -> float:
    """Largest sum of all arrays that a run makes, MB."""
    tracemalloc.start()
    run()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def sheet(n: int) -> NDArray[np.uint8]:
    """The tube as a region 1 between surfaces 2 and 3 at its ends."""
    labels = tube(n).astype(np.uint8)
    labels[:, :, 0] *= 2
    labels[:, :, -1] *= 3
    return labels


def averaged(labels: NDArray[np.uint8]) -> tuple[Floats, int]:
    """The averaging loop: values in the box and iterations."""
    kernel = _neighbours()
    region, known = labels == 1, labels > 0
    values = np.where(labels == 3, 1.0, np.where(region, 0.5, 0.0))
    counts = ndimage.convolve(known.astype(float), kernel, mode="constant")[region]
    for iteration in range(1, 100_000):
        means = ndimage.convolve(values, kernel, mode="constant")[region] / counts
        change = float(((means - values[region]) ** 2).sum())
        values[region] = means
        if change < CHANGE:
            return values, iteration
    raise RuntimeError(f"no convergence: the last change is {change:g}")


def _neighbours() -> Floats:
    """Ones at the 18 neighbours that share a face or an edge."""
    away = np.abs(np.indices((3, 3, 3)) - 1).sum(axis=0)
    return ((away > 0) & (away < 3)).astype(float)


def averaged_exactly(labels: NDArray[np.uint8]) -> Floats:
    """Where the averaging loop would end: its own equations, solved directly; (n,) in the region."""
    number = np.full(np.array(labels.shape) + 2, -1)
    inner = (slice(1, -1),) * 3
    number[inner][labels == 1] = np.arange(np.count_nonzero(labels == 1))
    padded = np.pad(labels, 1)
    cells = np.argwhere(padded == 1)
    rhs, counts = np.zeros(len(cells)), np.zeros(len(cells))
    rows, columns = [], []
    for offset in np.argwhere(_neighbours()) - 1:
        beside = tuple((cells + offset).T)
        counts += padded[beside] > 0
        rhs += padded[beside] == 3
        inside = np.flatnonzero(number[beside] >= 0)
        rows.append(inside)
        columns.append(number[beside][inside])
    ends = (np.concatenate(rows), np.concatenate(columns))
    matrix = sparse.diags_array(counts) - sparse.coo_array((np.ones(len(ends[0])), ends), shape=(len(cells),) * 2)
    return np.asarray(spsolve(sparse.csc_array(matrix), rhs))


def coordinates(n: int, repeats: int) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Laplace coordinates of the tube by both ways, and against a direct solve."""
    labels = sheet(n)
    seconds = []
    for _ in range(repeats):
        times = [time.process_time()]
        found = laplace_coordinates(labels, 1, 2, 3, CUBES)
        times.append(time.process_time())
        loop, iterations = averaged(labels)
        seconds.append((times[1] - times[0], time.process_time() - times[1]))
    network, rhs = system(labels == 1, labels, CUBES, 3)
    ours_error = float(np.abs(found.values - spsolve(sparse.csc_array(network.matrix), rhs)).max())
    loop_error = float(np.abs(loop[labels == 1] - averaged_exactly(labels)).max())
    times_ours, times_loop = (median(column) for column in zip(*seconds, strict=True))
    rows = [
        {"box": n, "way": "ours, thickness included", "s": times_ours, "iterations": found.iterations,
         "largest error": ours_error},
        {"box": n, "way": "averaging", "s": times_loop, "iterations": iterations, "largest error": loop_error},
    ]  # fmt: skip
    return rows, [
        Claim("Laplace coordinates: seconds of averaging over ours", median(b / a for a, b in seconds), 20, ">="),
        Claim("Laplace coordinates: largest difference from a direct solve", ours_error, 1e-6, "<="),
    ]


def shells(sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Thickness of spherical shells, whose walls are staircases: errors in voxels."""
    rows = []
    for n in sizes:
        edge = 2.2 / n
        x = (np.arange(n) + 0.5) * edge - 1.1
        radius = np.sqrt(x[:, None, None] ** 2 + x[:, None] ** 2 + x**2)
        labels = np.select([radius < 0.5, radius < 0.9], [2, 1], 3)
        found = laplace_coordinates(labels, 1, 2, 3, (edge,) * 3)
        error = (found.thickness - 0.4) / edge
        rows.append(
            {"shell, voxels thick": 0.4 / edge, "mean error, voxels": float(error.mean()),
             "RMS error, voxels": float(np.sqrt((error**2).mean())), "staircase sd, voxels": found.staircase / edge}
        )  # fmt: skip
    return rows


def main() -> None:
    """Everything."""
    chosen = options(__doc__ or "", seeds=1)
    sizes = (64, 128) if chosen.quick else (64, 128, 256)
    spacings = [CUBES] if chosen.quick else [CUBES, PLATES]
    rows: list[dict[str, Any]] = []
    found: dict[tuple[int, Spacing], dict[str, float]] = {}
    for spacing in spacings:
        for n in sizes:
            repeats = REPEATS_LARGEST if n > LARGE else REPEATS_QUICK if chosen.quick else REPEATS
            some, found[n, spacing] = compare(n, spacing, repeats, chosen.device)
            rows += some
    growth = [found[2 * n, h]["total"] / found[n, h]["total"] for n, h in found if (2 * n, h) in found]
    table, claims = coordinates(48, 1) if chosen.quick else coordinates(64, REPEATS_QUICK)
    claims = [
        Claim("set-up and solve over the fastest peer, worst", max(f["over fastest"] for f in found.values()), 1, "<="),
        Claim(
            "later right side over set-up and solve of pyamg, worst", max(f["later"] for f in found.values()), 0.4, "<="
        ),
        Claim("growth of set-up and solve by doubling the box, worst", max(growth), 10, "<="),
        *claims,
    ]
    finish(chosen, claims, rows, table, shells((24, 36) if chosen.quick else (24, 36, 54, 80)))


if __name__ == "__main__":
    main()
