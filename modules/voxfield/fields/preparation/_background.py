"""The offset that eddy currents and Maxwell terms leave in the velocity, as a polynomial fitted to tissue at rest.

Walker et al. (JMRI 3, 1993) fit a plane by least squares. Here the order is chosen by cross-validation, blocks of
BLOCK^3 voxels being left out together, since neighbours repeat each other: the lowest order whose error is within one
standard error of the least (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3). Voxels
that flow although they were taken for static lose their weight (Tukey's biweight, Huber, Robust Statistics, 1981,
chapter 7, by iterated least squares). The standard deviation of the fit is that of coefficients whose errors are
independent between blocks, not between voxels: the jackknife over blocks (Efron and Stein, Annals of Statistics 9,
1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfield.fields._robust import MAD, biweight

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

HIGHEST = 4
BLOCK = 6
FOLDS = 10
ROUNDS = 30
SETTLED = 1e-6
MOST_VOXELS = 60_000
"""Static voxels that are fitted; more are thinned evenly."""
PER_TERM = 3
"""Blocks that a coefficient needs at least."""


@dataclass(frozen=True)
class Background:
    """The offset of one component.

    order         of the polynomial
    coefficients  (m,) m/s, of the monomials of `monomials`
    covariance    (m, m)
    errors        cross-validation error by order, m/s; empty where the order was stated
    before        root mean square of the static velocities before, m/s, flow that was parted from rest left out
    after         the same after the offset was taken off
    """

    order: int
    coefficients: Floats
    covariance: Floats
    errors: dict[int, float]
    before: float
    after: float

    def offset(self, shape: tuple[int, int, int]) -> Floats:
        """(x, y, z) m/s."""
        values: Floats = monomials(_unit_cube(shape), self.order) @ self.coefficients
        return values.reshape(shape)

    def sd(self, places: Ints, shape: tuple[int, int, int]) -> Floats:
        """Standard deviation of the offset at voxels (n, 3), m/s."""
        terms = monomials(scaled(places, shape), self.order)
        variance: Floats = np.einsum("nm,mk,nk->n", terms, self.covariance, terms)
        return np.sqrt(np.maximum(variance, 0.0))


@dataclass(frozen=True)
class _Tissue:
    """Static voxels: places in the unit cube (n, 3), mean velocity, weight (inverse variance), block of each."""

    places: Floats
    velocity: Floats
    weight: Floats
    block: Ints


def fit_background(
    velocity: Floats, weights: Floats, static: Mask, order: int | None, rng: np.random.Generator
) -> Background | None:
    """Fit one component.

    velocity  (x, y, z) m/s, mean over frames
    weights   (x, y, z) relative magnitude; the variance of a voxel goes with its inverse square
    static    (x, y, z)
    order     of the polynomial, or None for cross-validation
    returns   None where there is too little tissue for the order, or for a constant
    """
    tissue = _gather(velocity, weights, static)
    blocks = len(np.unique(tissue.block))
    possible = [k for k in range(HIGHEST + 1) if blocks >= PER_TERM * term_count(k)]
    if not possible or (order is not None and order not in possible):
        return None
    errors = _validated(tissue, [k for k in possible if k < HIGHEST], rng) if order is None else {}
    chosen = _choose(errors) if order is None else order
    terms = monomials(tissue.places, chosen)
    coefficients, robust = robust_fit(terms, tissue.velocity, tissue.weight)
    residual = tissue.velocity - terms @ coefficients
    return Background(
        chosen, coefficients, _covariance(terms, residual, robust, tissue.block),
        {k: float(e.mean()) ** 0.5 for k, e in errors.items()}, _rms(tissue.velocity, robust), _rms(residual, robust),
    )  # fmt: skip


def term_count(order: int) -> int:
    """Monomials in three coordinates up to a total degree."""
    return (order + 1) * (order + 2) * (order + 3) // 6


def monomials(places: Floats, order: int) -> Floats:
    """(n, m) products of the coordinates (n, 3), total degree ascending."""
    x, y, z = places.T
    columns = [
        x**a * y**b * z ** (degree - a - b)
        for degree in range(order + 1)
        for a in range(degree, -1, -1)
        for b in range(degree - a, -1, -1)
    ]
    return np.stack(columns, axis=1)


def scaled(places: Ints, shape: tuple[int, int, int]) -> Floats:
    """Voxel indices to coordinates from -1 to 1, which keeps the monomials of one size."""
    half = (np.array(shape) - 1) / 2
    return np.asarray((places - half) / np.maximum(half, 0.5))


def _unit_cube(shape: tuple[int, int, int]) -> Floats:
    return scaled(np.indices(shape).reshape(3, -1).T, shape)


def _gather(velocity: Floats, weights: Floats, static: Mask) -> _Tissue:
    voxels = np.argwhere(static)
    cubes = voxels // BLOCK
    keep = np.arange(0, len(voxels), max(1, -(-len(voxels) // MOST_VOXELS)))
    _, block = np.unique(cubes[keep], axis=0, return_inverse=True)
    at = tuple(voxels[keep].T)
    return _Tissue(scaled(voxels[keep], _extent(static)), velocity[at], np.square(weights[at]), block.ravel())


def _extent(mask: Mask) -> tuple[int, int, int]:
    x, y, z = mask.shape
    return x, y, z


def robust_fit(terms: Floats, values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Coefficients, and the weights (n,) after Tukey's biweight; starts from the median."""
    centre = np.zeros(terms.shape[1])
    centre[0] = np.median(values)
    scale = np.sqrt(weight)
    for _ in range(ROUNDS):
        residual = (values - terms @ centre) * scale
        spread = MAD * float(np.median(np.abs(residual))) + 1e-12
        robust = weight * biweight(residual, spread)
        weighted = robust[:, None] * terms
        following = np.asarray(np.linalg.lstsq(weighted.T @ terms, weighted.T @ values, rcond=1e-12)[0], np.float64)
        done = np.abs(following - centre).max() <= SETTLED * (np.abs(following).max() + 1e-12)
        centre = following
        if done:
            break
    return centre, robust


def _covariance(terms: Floats, residual: Floats, weight: Floats, block: Ints) -> Floats:
    """Of the coefficients, from what they change by as each block is left out."""
    weighted = weight[:, None] * terms
    whole = weighted.T @ terms
    changes = []
    for members in np.split(np.argsort(block, kind="stable"), np.cumsum(np.bincount(block))[:-1]):
        rest = whole - weighted[members].T @ terms[members]
        changes.append(np.linalg.lstsq(rest, weighted[members].T @ residual[members], rcond=1e-12)[0])
    spread = np.stack(changes)
    return np.asarray(spread.T @ spread * (1 - 1 / len(spread)))


def _validated(tissue: _Tissue, orders: list[int], rng: np.random.Generator) -> dict[int, Floats]:
    """Squared errors (folds,) of blocks left out, by order; voxels without weight in a fit of all do not count."""
    _, kept = robust_fit(monomials(tissue.places, orders[-1]), tissue.velocity, tissue.weight)
    fold_of = rng.permutation(int(tissue.block.max()) + 1) % FOLDS
    fold = fold_of[tissue.block]
    errors: dict[int, Floats] = {}
    for order in orders:
        terms = monomials(tissue.places, order)
        found = []
        for left_out in range(FOLDS):
            inner, outer = fold != left_out, (fold == left_out) & (kept > 0)
            if outer.any():
                fitted, _ = robust_fit(terms[inner], tissue.velocity[inner], tissue.weight[inner])
                found.append(np.average(np.square(tissue.velocity[outer] - terms[outer] @ fitted), weights=kept[outer]))
        errors[order] = np.array(found)
    return errors


def _choose(errors: dict[int, Floats]) -> int:
    """The lowest order whose excess over the best, fold by fold, is within its standard error."""
    best = min(errors, key=lambda k: float(errors[k].mean()))
    for order in sorted(errors):
        excess = errors[order] - errors[best]
        if excess.mean() <= excess.std(ddof=1) / np.sqrt(len(excess)):
            return order
    return best


def _rms(values: Floats, weight: Floats) -> float:
    kept = weight > 0
    return float(np.sqrt(np.square(values[kept]).mean()))
