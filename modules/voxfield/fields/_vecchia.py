"""Nearest-neighbour factorisation of a large covariance: log evidence, and a preconditioner that nearly solves.

Vecchia (1988): with observations in some order, p(y) = prod p(y_i | all earlier) is approximated by conditioning each
on its nearest earlier ones. The conditionals form a sparse factor U with U cov U^T close to 1 (Katzfuss and Guinness
2021). Blocks are the three components of a voxel. Order is random, which leaves near and far neighbours to condition
on. Points of the wall come first of all, so that the factor of the voxels gives p(data | wall) directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack
from scipy.spatial import cKDTree

from voxfield.errors import VoxfieldError
from voxfield.fields._prior import Int, Real

CHUNK = 256
"""Blocks whose covariances are gathered at once; bounds memory."""


def earlier_neighbours(points: Real, count: int) -> Int:
    """The nearest earlier points of every point, (n, count); -1 where there are fewer."""
    total = len(points)
    found = np.full((total, count), -1, dtype=np.int64)
    start = 0
    while start < total:
        stop = min(max(2 * start, 4 * count), total)
        asked = min(stop, 5 * count)
        _, near = cKDTree(points[:stop]).query(points[start:stop], k=asked)
        near = near.reshape(stop - start, asked)
        earlier = near < np.arange(start, stop)[:, None]
        rank = np.where(earlier, np.arange(asked), asked)
        order = np.argsort(rank, axis=1, kind="stable")[:, :count]
        kept = np.where(np.take_along_axis(earlier, order, 1), np.take_along_axis(near, order, 1), -1)
        found[start:stop, : kept.shape[1]] = kept
        start = stop
    return found


def nearest(points: Real, targets: Real, count: int) -> Int:
    """The nearest points of every target, (n, count); -1 where there are fewer."""
    found = np.full((len(targets), count), -1, dtype=np.int64)
    if len(points) and count:
        asked = min(count, len(points))
        _, near = cKDTree(points).query(targets, k=asked)
        found[:, :asked] = near.reshape(len(targets), asked)
    return found


Assemble = Callable[[Int], Real]
"""Block indices (b, m), -1 for none, to covariances (b, 3 m, 3 m) with the noise on them."""


@dataclass(frozen=True)
class Conditionals:
    """Factors of some blocks, each conditioned on others.

    sets   (b, m) block indices; the last column is the block itself
    rows   (b, 3 m, 3): rows[i].T @ values of sets[i] is white with unit variance
    """

    sets: Int
    rows: Real

    @property
    def log_determinant(self) -> float:
        """Sum of the log conditional standard deviations, with minus: log |U|."""
        diagonal = np.diagonal(self.rows[:, -3:], axis1=1, axis2=2)
        return float(np.log(np.abs(diagonal)).sum())

    def whiten(self, values: Real) -> Real:
        """Values (blocks, 3, ...) to whitened values of the b blocks, (b, 3, ...)."""
        gathered = np.where((self.sets >= 0)[(..., *[None] * (values.ndim - 1))], values[self.sets], 0.0)
        flat = gathered.reshape(len(self.sets), self.rows.shape[1], -1)
        white: Real = np.einsum("bmk,bmv->bkv", self.rows, flat)
        return white.reshape(len(self.sets), 3, *values.shape[2:])

    def sparse(self, blocks: int) -> sparse.csr_matrix:
        """Rows of U as a sparse matrix, (3 b, 3 blocks)."""
        count, width = self.sets.shape
        row = 3 * np.arange(count)[:, None, None, None] + np.arange(3)
        column = 3 * self.sets[:, :, None, None] + np.arange(3)[:, None]
        value = self.rows.reshape(count, width, 3, 3)
        kept = np.broadcast_to(self.sets[:, :, None, None] >= 0, value.shape)
        place = (np.broadcast_to(row, value.shape)[kept], np.broadcast_to(column, value.shape)[kept])
        return sparse.csr_matrix((value[kept], place), shape=(3 * count, 3 * blocks))


def conditionals(assemble: Assemble, sets: Int) -> Conditionals:
    """Factor the blocks in the last column of `sets` given the blocks in the other columns."""
    rows = np.concatenate([_chunk_rows(assemble, part) for part in _chunks(sets)])
    return Conditionals(sets, rows)


def _chunks(sets: Int) -> Iterator[Int]:
    return (sets[start : start + CHUNK] for start in range(0, len(sets), CHUNK))


def _chunk_rows(assemble: Assemble, sets: Int) -> Real:
    covariances = assemble(sets)
    size = covariances.shape[1]
    unit = np.zeros((size, 3))
    unit[-3:] = np.eye(3)
    rows = np.empty((len(sets), size, 3))
    for place, matrix in enumerate(covariances):
        factor, fault = lapack.dpotrf(matrix, lower=1, clean=0)
        if fault:
            raise NotPositive(size)
        rows[place], _ = lapack.dtrtrs(factor, unit, lower=1, trans=1)
    return rows


class NotPositive(VoxfieldError):
    """A covariance lost positive definiteness to rounding: noise too small beside the signal."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"a covariance of {size} observations is not positive definite in double precision; the noise is too small "
            "beside the signal, or the length scale too long"
        )


def gather(block: NDArray[np.bool_]) -> Real:
    """Identity on the blocks that are missing: (b, m) bool to (b, 3 m) ones there, zeros elsewhere."""
    return np.repeat(block.astype(np.float64), 3, axis=1)
