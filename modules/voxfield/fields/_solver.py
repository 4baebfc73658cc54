"""Preconditioned conjugate gradients for several right-hand sides that share one matrix.

Applying the preconditioner is bound by memory, so that several vectors cost little more than one. Search directions of
a first solve can be kept; later ones start from the best weights in their span (Erhel & Guyomarc'h, SIAM J. Matrix
Anal. 21, 2000), which leaves out the few directions that cost most of the iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxfield.fields._prior import Real

Operator = Callable[[Real], Real]
MOST_BYTES = 6e8
"""Memory set aside for directions that are kept."""


@dataclass(frozen=True)
class Solution:
    """Weights of the observations, (blocks, 3), and how they were found."""

    weights: Real
    iterations: int
    residual: float


class Directions:
    """Conjugate directions of earlier solves with one matrix, as many as fit into the memory set aside."""

    def __init__(self) -> None:
        self._kept: list[tuple[Real, Real, float]] = []
        self._room = MOST_BYTES

    def add(self, direction: Real, image: Real, curvature: float) -> None:
        """Keep a direction (blocks, 3), its image under the matrix, and their product."""
        self._room -= 2 * direction.nbytes
        if self._room > 0:
            self._kept.append((direction.copy(), image.copy(), curvature))

    def start(self, wanted: Real) -> tuple[Real, Real]:
        """Weights in the span of the directions, and what they leave of `wanted`, (blocks, 3, k)."""
        weights, residual = np.zeros_like(wanted), wanted.copy()
        for direction, image, curvature in self._kept:
            step = np.tensordot(direction, residual, axes=2) / curvature
            weights += step * direction[..., None]
            residual -= step * image[..., None]
        return weights, residual


def conjugate_gradients(
    matrix: Operator,
    precondition: Operator,
    wanted: Real,
    tolerance: float,
    known: Directions,
    *,
    remember: bool = False,
    most: int = 1000,
) -> list[Solution]:
    """Solve matrix weights = wanted for every column.

    matrix        on vectors (blocks, 3, k)
    precondition  the same
    wanted        (blocks, 3, k)
    tolerance     of the residual in the norm of the preconditioner, relative to `wanted`
    known         directions to start from
    remember      add the directions of the first column to `known`
    """
    first = _products(wanted, precondition(wanted))
    weights, residual = known.start(wanted)
    steered = precondition(residual)
    slope = _products(residual, steered)
    counts = np.zeros(len(slope), dtype=np.int64)
    direction = steered
    for _ in range(most):
        open_ = np.flatnonzero(slope > tolerance**2 * first)
        if not len(open_):
            break
        image = matrix(direction[..., open_])
        curvature = _products(direction[..., open_], image)
        step = slope[open_] / curvature
        if remember and open_[0] == 0:
            known.add(direction[..., 0], image[..., 0], float(curvature[0]))
        weights[..., open_] += step * direction[..., open_]
        residual[..., open_] -= step * image
        steered = precondition(residual[..., open_])
        before = slope[open_]
        slope[open_] = _products(residual[..., open_], steered)
        direction[..., open_] = steered + slope[open_] / before * direction[..., open_]
        counts[open_] += 1
    left = np.sqrt(np.maximum(slope, 0.0) / np.where(first > 0, first, 1.0))
    return [Solution(weights[..., k], int(counts[k]), float(left[k])) for k in range(len(left))]


def _products(left: Real, right: Real) -> Real:
    """Scalar products of the columns, (k,)."""
    products: Real = np.einsum("nak,nak->k", left, right)
    return products
