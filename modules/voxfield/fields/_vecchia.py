"""Nearest-neighbour factorisation of a large covariance: a preconditioner that nearly solves.

Vecchia (1988): with observations in some order, p(y) = prod p(y_i | all earlier) is approximated by conditioning each
on its nearest earlier ones. The conditionals form a sparse factor U with U cov U^T close to 1 (Katzfuss and Guinness
2021). Here neighbouring points form groups that share what they are conditioned on (Guinness 2018): one factorisation
a group, a better approximation, and rows that are stored densely. Order is random, which leaves near and far
neighbours to condition on. Points of the wall come first of all.

The factor is kept in single precision: it only preconditions, and is bound by memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from voxfield.errors import VoxfieldError
from voxfield.fields._prior import Int, Real

CHUNK = 64
"""Groups whose covariances are gathered at once; bounds memory."""


Assemble = Callable[[Int], Real]
"""Block indices (b, m), -1 for none, to covariances (b, 3 m, 3 m) with the noise on them."""


@dataclass(frozen=True)
class Rows:
    """Rows of the factor U that belong to some groups of g blocks, each conditioned on others.

    sets    (b, m) block indices; the last g columns are the group itself; -1 for none
    values  (b, 3 g, 3 m)
    """

    sets: Int
    values: NDArray[np.float32]


class Factor:
    """U, applied to several vectors at once; `blocks` is the number of blocks of three."""

    def __init__(self, parts: list[Rows], blocks: int) -> None:
        self._parts = [(part, _selection(part.sets, blocks)) for part in parts]

    def precondition(self, vectors: Real) -> Real:
        """U^T U applied to vectors (blocks, 3, k)."""
        blocks, _, count = vectors.shape
        flat = np.zeros((blocks + 1, 3 * count), dtype=np.float32)  # the last row is for blocks that are none
        flat[:-1] = vectors.reshape(blocks, 3 * count)
        total = np.zeros_like(flat[:-1])
        for part, spread in self._parts:
            groups, width = part.sets.shape
            gathered = flat[part.sets].reshape(groups, 3 * width, count)
            white = part.values @ gathered
            back = part.values.transpose(0, 2, 1) @ white
            total += spread @ back.reshape(groups * width, 3 * count)
        return total.reshape(vectors.shape).astype(np.float64)


def rows(assemble: Assemble, sets: Int, own: int) -> Rows:
    """Factor the blocks in the last `own` columns of `sets` given the blocks in the other columns."""
    values = np.empty((len(sets), 3 * own, 3 * sets.shape[1]), dtype=np.float32)
    for start in range(0, len(sets), CHUNK):
        part = sets[start : start + CHUNK]
        values[start : start + CHUNK] = _whitening(assemble(part), 3 * own)
    return Rows(sets, values)


def _whitening(covariances: Real, own: int) -> Real:
    """The last `own` rows of the inverse Cholesky factors of covariances (b, n, n)."""
    size = covariances.shape[1]
    unit = np.zeros((size, own))
    unit[-own:] = np.eye(own)
    found = np.empty((len(covariances), own, size))
    for place, matrix in enumerate(covariances):
        factor, fault = lapack.dpotrf(matrix, lower=1, clean=0)
        if fault:
            raise NotPositive(size)
        found[place] = lapack.dtrtrs(factor, unit, lower=1, trans=1)[0].T
    return found


def _selection(sets: Int, blocks: int) -> sparse.csr_matrix:
    """(blocks, entries of sets) with a one where an entry names a block."""
    entries = np.flatnonzero(sets.ravel() >= 0)
    ones = np.ones(len(entries), dtype=np.float32)
    return sparse.csr_matrix((ones, (sets.ravel()[entries], entries)), shape=(blocks, sets.size))


class NotPositive(VoxfieldError):
    """A covariance lost positive definiteness to rounding: noise too small beside the signal."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"a covariance of {size} observations is not positive definite in double precision; the noise is too small "
            "beside the signal, or the length scale too long"
        )
