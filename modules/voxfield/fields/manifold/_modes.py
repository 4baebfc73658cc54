"""Smooth modes of a domain: the lowest eigenvectors of its connection (or scalar) Laplacian.

Up to LARGEST nodes by shift-and-invert Lanczos. Above, of a coarse domain of LANDMARKS cells: the Galerkin product of
the Laplacian with transported, piecewise constant vectors, brought back to the nodes and smoothed there. The modes of a
large domain are a basis of smooth fields rather than eigenvectors to many digits; what they miss is for the local part
of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import LinearOperator, eigsh, splu

from voxfield.fields.manifold._domain import Domain, farthest_points
from voxfield.fields.manifold._orientation import transport
from voxfield.fields.manifold._patches import Int, Real

LARGEST = 4000
"""Nodes up to which the modes are eigenvectors of the whole domain."""
LANDMARKS = 2000
SMOOTHINGS = 12
LANCZOS = 1.8
"""Basis vectors of the Lanczos iteration for a mode: the fewest solves on surfaces of 1,000 points."""
BEYOND = 4
"""Nodes per mode at least: more modes than that are not smooth on the domain."""


@dataclass(frozen=True)
class Modes:
    """Modes of a domain.

    eigenvalues  (k,) ascending, inverse square of the unit of the points
    vectors      (n, c, k) tangent coordinates at the nodes (c = m, or 1 for scalars), of mean square length 1
    """

    eigenvalues: Real
    vectors: Real


def modes(domain: Domain, count: int, *, scalar: bool) -> Modes:
    """The `count` lowest modes, fewer where the domain is small."""
    components = 1 if scalar else domain.dimension
    count = min(count, components * len(domain) // BEYOND)
    laplacian = domain.laplacian(scalar=scalar)
    mass = np.repeat(domain.mass, components)
    if len(domain) <= LARGEST:
        values, vectors = _lowest(laplacian, mass, count)
    else:
        values, vectors = _smoothed(laplacian, mass, _prolongation(domain, scalar=scalar), count)
    scale = np.sqrt(domain.mass.sum())
    return Modes(values, (scale * vectors).reshape(len(domain), components, -1))


def _lowest(laplacian: sparse.csr_array, mass: Real, count: int) -> tuple[Real, Real]:
    """Eigenvalues and mass-orthonormal eigenvectors (n, count) of laplacian v = value * mass * v."""
    root = sparse.diags_array(1 / np.sqrt(mass))
    matrix = (root @ laplacian @ root).tocsc()
    shift = 1e-3 * float(matrix.diagonal().mean())
    factor = splu(
        (matrix + shift * sparse.eye_array(len(mass))).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    inverse = LinearOperator(matrix.shape, matvec=factor.solve, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(len(mass))
    basis = min(int(LANCZOS * count) + 1, len(mass))
    values, vectors = eigsh(matrix, count, sigma=-shift, OPinv=inverse, v0=start, ncv=basis)
    return np.maximum(values, 0.0), vectors / np.sqrt(mass)[:, None]


def _prolongation(domain: Domain, *, scalar: bool) -> sparse.csr_array:
    """(n c, landmarks c): the value of the nearest landmark along the domain, transported."""
    pieces = np.unique(domain.component, return_index=True)[1]
    landmarks = np.union1d(farthest_points(domain.points, LANDMARKS), pieces)
    _, _, nearest = dijkstra(domain.lengths, directed=False, indices=landmarks, min_only=True, return_predecessors=True)
    pairs = np.stack([np.arange(len(domain)), nearest], axis=1)
    blocks = np.ones((len(domain), 1, 1)) if scalar else transport(domain.frames, pairs)
    place: Int = np.searchsorted(landmarks, nearest)
    c = blocks.shape[1]
    within = np.arange(c)
    row = np.broadcast_to((c * pairs[:, 0])[:, None, None] + within[:, None], blocks.shape)
    column = np.broadcast_to((c * place)[:, None, None] + within, blocks.shape)
    shape = (c * len(domain), c * len(landmarks))
    return sparse.coo_array((blocks.ravel(), (row.ravel(), column.ravel())), shape=shape).tocsr()


def _smoothed(laplacian: sparse.csr_array, mass: Real, prolongation: sparse.csr_array, count: int) -> tuple[Real, Real]:
    """Coarse modes on the nodes after damped Jacobi steps, and their Rayleigh-Ritz values."""
    coarse = (prolongation.T @ laplacian @ prolongation).tocsr()
    _, vectors = _lowest(coarse, prolongation.T.power(2) @ mass, count)
    fine = prolongation @ vectors
    damping = 0.6 / laplacian.diagonal()
    for _ in range(SMOOTHINGS):
        fine -= damping[:, None] * (laplacian @ fine)
    gram, energy = fine.T @ (mass[:, None] * fine), fine.T @ (laplacian @ fine)
    root = np.linalg.inv(np.linalg.cholesky(gram))
    values, turn = np.linalg.eigh(root @ energy @ root.T)
    return np.maximum(values, 0.0), fine @ (root.T @ turn)
