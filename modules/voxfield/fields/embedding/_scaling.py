"""Metric multidimensional scaling: points whose distances are nearest to given ones.

Stress is lowered by majorisation (SMACOF: de Leeuw 1977; Borg and Groenen, "Modern multidimensional scaling", 2005,
chapter 8): with unit weights, X <- B(X) X / n, which never raises it. It starts from classical scaling, which is exact
where the distances are Euclidean.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]
ROUNDS = 300
ENOUGH = 1e-5  # relative fall of the stress in a round


def scale(distances: Floats, dimensions: int) -> tuple[Floats, float]:
    """Points (n, dimensions) and their stress, sqrt(sum (d - delta)^2 / sum delta^2)."""
    points, size = classical(distances, dimensions), float(np.square(distances).sum())
    stress = np.inf
    for _ in range(ROUNDS):
        found = cdist(points, points)
        before, stress = stress, float(np.square(found - distances).sum()) / size
        if stress >= (1 - ENOUGH) * before:
            break
        ratio = np.divide(distances, found, out=np.zeros_like(found), where=found > 0)
        points = (ratio.sum(axis=1)[:, None] * points - ratio @ points) / len(points)
    return points, float(np.sqrt(stress))


def classical(distances: Floats, dimensions: int) -> Floats:
    """(n, dimensions) by the largest eigenvectors of -J d^2 J / 2 (Torgerson 1952); centred, signs fixed."""
    square = np.square(distances)
    mean = square.mean(axis=0)
    gram = -0.5 * (square - mean - mean[:, None] + mean.mean())
    start = np.random.default_rng(0).standard_normal(len(gram))
    operator = LinearOperator(gram.shape, matvec=lambda v: gram @ v, dtype=np.float64)
    values, vectors = eigsh(operator, dimensions, which="LA", v0=start)
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(dimensions)])
    points: Floats = (vectors * signs * np.sqrt(np.maximum(values, 0)))[:, ::-1]
    return points
