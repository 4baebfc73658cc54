"""Functional maps with a sliced-transport term, and the point-to-point map that they stand for.

A map of points T: target -> source carries functions from source to target; in the two Laplacian bases it is a matrix C
(Ovsjanikov et al., "Functional maps", ACM TOG 31(4), 2012). We minimise

    |C A - B|^2 + mu |C Lambda_1 - Lambda_2 C|^2 + nu SW^2(Phi_1 C^T, Phi_2)

with A, B the descriptors' coefficients, the second term for maps that keep distances, and the third the sliced
Wasserstein distance between the two surfaces as measures in the spectral domain (the term of Le, Nguyen, Sun, Ho, Xie,
"Integrating efficient optimal transport and functional maps for unsupervised shape correspondence learning", CVPR
2024, who use it as a loss on learned features). What we do differently: nothing is learned, and the sliced term is
minimised in closed form. Along a direction theta the optimal plan between weighted values is monotone; with it fixed,
and since Phi_1 is orthonormal, the term is |C^T theta - Phi_1^T M_1 t|^2 with t the barycentres of what each vertex is
sent to. Directions come as orthonormal frames, which makes the sum |C - Theta S|^2: rows of C stay apart, and each
round is one small linear system a row. Every round lowers the energy at its directions.

C is then refined by spectral upsampling (ZoomOut: Melzi et al., ACM TOG 38(6), 2019): point map and C in turn, with
more and more eigenfunctions.
"""

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.matching._basis import Basis, signatures

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
START = 12  # eigenfunctions of the first map
GROWTH = 2  # more in each round of the refinement
ROUNDS = 12
FRAMES = 4


def functional_map(source: Basis, target: Basis, isometry: float, transport: float, rng: np.random.Generator) -> Floats:
    """(k, k) the first map, of START eigenfunctions.

    isometry, transport  mu and nu, relative to descriptors of unit norm and eigenvalues of at most 1
    """
    k = min(START, source.values.size, target.values.size)
    first, second = _cut(source, k), _cut(target, k)
    given, wanted = first.coefficients(signatures(source)), second.coefficients(signatures(target))
    top = max(first.values[-1], second.values[-1])
    mismatch = isometry * np.square((second.values[:, None] - first.values) / top)
    found = _solve(given, wanted, mismatch, 0.0, np.zeros((k, k)))
    for _ in range(ROUNDS if transport else 0):
        pull = np.mean([_transported(first, second, found, rng) for _ in range(FRAMES)], axis=0)
        found = _solve(given, wanted, mismatch, transport, pull)
    return found


def point_map(source: Basis, target: Basis, functional: Floats) -> Integers:
    """(n_target,) the source vertex of each target vertex: nearest in the spectral domain."""
    k = len(functional)
    places = source.vectors[:, :k] @ functional.T
    size = np.square(places).sum(axis=1)
    slices = np.array_split(target.vectors[:, :k], _parts(source, target))
    return np.concatenate([np.argmin(size - 2 * part @ places.T, axis=1) for part in slices]).astype(np.int64)


def refine(source: Basis, target: Basis, functional: Floats) -> Floats:
    """The map with as many eigenfunctions as both bases have."""
    most = min(source.values.size, target.values.size)
    for size in range(len(functional), most + GROWTH, GROWTH):
        points, k = point_map(source, target, functional), min(size, most)
        functional = _cut(target, k).coefficients(source.vectors[points, :k])
    return functional


def _cut(whole: Basis, k: int) -> Basis:
    return Basis(whole.values[:k], whole.vectors[:, :k], whole.mass)


def _parts(source: Basis, target: Basis) -> int:
    """Slices of the target whose distances to the source fit in some 50 MB."""
    return 1 + len(source.mass) * len(target.mass) // 6_000_000


def _solve(given: Floats, wanted: Floats, mismatch: Floats, pull_weight: float, pull: Floats) -> Floats:
    """The minimiser, row by row: (A A^T + diag(mismatch_i + nu)) c_i = A b_i + nu p_i."""
    gram, right = given @ given.T, wanted @ given.T + pull_weight * pull
    systems = gram + np.eye(len(gram)) * (mismatch + pull_weight + 1e-9)[:, None, :]
    return np.asarray(np.linalg.solve(systems, right[..., None])[..., 0], dtype=np.float64)


def _transported(source: Basis, target: Basis, functional: Floats, rng: np.random.Generator) -> Floats:
    """Theta S: where one frame of directions would have the map."""
    frame = np.linalg.qr(rng.standard_normal(functional.shape))[0]
    here, there = source.vectors @ (functional.T @ frame), target.vectors @ frame
    sent = np.stack([monotone(h, source.mass, t, target.mass) for h, t in zip(here.T, there.T, strict=True)], axis=1)
    return np.asarray(frame @ source.coefficients(sent).T)


def monotone(values: Floats, mass: Floats, others: Floats, other_mass: Floats) -> Floats:
    """(n,) barycentre of what the optimal plan on the line sends each value to; masses sum to 1."""
    order, other_order = np.argsort(values, kind="stable"), np.argsort(others, kind="stable")
    ends = np.append(0, np.cumsum(mass[order]))
    knots = np.append(0, np.cumsum(other_mass[other_order]))
    moment = np.append(0, np.cumsum((other_mass * others)[other_order]))  # integral of the quantile function
    sent = np.empty_like(values)
    sent[order] = np.diff(np.interp(ends, knots, moment)) / mass[order]
    return sent
