"""The peer of `flow4d.py`: each component smoothed by a biharmonic penalty inside a lumen, no physics.

Voxel i of the coarse grid sits on cell 2 i of the fine one and sees it with weights 1-2-1 along every axis.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import convolve1d
from scipy.sparse.linalg import cg

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
REFINE = 2
WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0)


class Lumen(NamedTuple):
    """Where a smoother is told, on the fine grid, and the coarse voxels that it is fitted to, with their fill."""

    domain: Mask
    voxels: Mask
    fill: Array


def filled(occupancy: Array) -> Array:
    """Share of the coarse voxels that lies in the lumen, by their 1-2-1 weights."""
    for axis in range(3):
        occupancy = convolve1d(occupancy, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    return occupancy[::REFINE, ::REFINE, ::REFINE]


def smoothed(velocity: Array, lumen: Lumen, *, by_fill: bool = False) -> Array:
    """Least squares with a biharmonic penalty inside the lumen; left-out voxels choose its weight.

    velocity  (x, y, z, 3) measured; returns the same on the fine grid
    by_fill   residuals are weighted by the fill of the voxel, as noise that grows with the loss of signal wants it
    """
    observe, laplacian, seen = operators(lumen.domain, lumen.voxels)
    measured = velocity[seen]
    trust = np.square(lumen.fill[seen]) if by_fill else np.ones(len(measured))
    left_out = np.random.default_rng(0).random(len(measured)) < 0.2
    penalty = (laplacian.T @ laplacian).tocsr()

    def fit(rows: Mask, weight: float) -> Array:
        part = sparse.diags(np.sqrt(trust[rows])) @ observe[rows]
        data = np.sqrt(trust[rows])[:, None] * measured[rows]
        matrix = (part.T @ part + weight * penalty + 1e-9 * sparse.eye(penalty.shape[0])).tocsr()
        diagonal = sparse.diags(1 / matrix.diagonal())
        solved = [cg(matrix, part.T @ data[:, c], rtol=1e-6, maxiter=800, M=diagonal)[0] for c in range(3)]
        return np.stack(solved, axis=-1)

    def score(weight: float) -> float:
        residual = observe[left_out] @ fit(~left_out, weight) - measured[left_out]
        return float(np.sum(trust[left_out, None] * np.square(residual)))

    best = min(WEIGHTS, key=score)
    field = np.zeros((*lumen.domain.shape, 3))
    field[lumen.domain] = fit(np.ones(len(measured), dtype=bool), best)
    return field


def operators(domain: Mask, coarse: Mask) -> tuple[sparse.csr_matrix, sparse.csr_matrix, tuple[NDArray[np.int64], ...]]:
    """The 1-2-1 observation of the coarse lumen voxels inside the domain, and the domain's graph Laplacian."""
    index = np.full(domain.shape, -1)
    index[domain] = np.arange(domain.sum())
    seen = tuple(axis for axis in np.nonzero(coarse & domain[::REFINE, ::REFINE, ::REFINE]))
    rows, columns, entries = [], [], []
    for shift in np.ndindex(3, 3, 3):
        at = [REFINE * seen[a] + shift[a] - 1 for a in range(3)]
        valid = np.all([(at[a] >= 0) & (at[a] < domain.shape[a]) for a in range(3)], axis=0)
        target = np.full(len(valid), -1)
        target[valid] = index[tuple(a[valid] for a in at)]
        ok = target >= 0
        rows.append(np.nonzero(ok)[0])
        columns.append(target[ok])
        entries.append(np.full(int(ok.sum()), float(np.prod([2 - abs(s - 1) for s in shift]))))
    observe = sparse.csr_matrix(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))),
        shape=(len(seen[0]), int(domain.sum())),
    )
    observe = sparse.diags(1 / np.asarray(observe.sum(axis=1)).ravel()) @ observe
    edges = []
    for axis in range(3):
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        pair = domain[tuple(low)] & domain[tuple(high)]
        edges.append(np.stack([index[tuple(low)][pair], index[tuple(high)][pair]]))
    first, second = np.concatenate(edges, axis=1)
    size = int(domain.sum())
    links = sparse.csr_matrix((np.ones(len(first)), (first, second)), shape=(size, size))
    links = links + links.T
    laplacian = sparse.diags(np.asarray(links.sum(axis=1)).ravel()) - links
    return observe.tocsr(), laplacian.tocsr(), seen
