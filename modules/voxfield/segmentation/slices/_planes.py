"""Which plane does an annotated voxel lie on? Slices of a volume, and planes of any orientation.

Slices that are annotated throughout are planes as they are. Among the other voxels planes are found by random sample
consensus (Fischler and Bolles, Communications of the ACM 24(6), 1981): a plane through three nearby voxels is fitted
to the voxels that it passes, the largest plane is taken away, and so on. A voxel belongs to a plane that passes through
its cube, |n . (x - c)| <= ||n||_1 / 2 in voxels (a standard digital plane), so that a rasterised oblique plane stays in
one piece.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SCATTERED = -1
SMALLEST = 16  # voxels of a plane; fewer are scattered voxels
TRIES = 200  # triples of voxels per plane
NEIGHBOURS = 100  # a triple lies within a voxel and this many of its neighbours: mostly one plane
SCORED = 4000  # voxels that a triple is judged on
REFINED = 8  # triples that are fitted to all their voxels


def find_planes(seen: NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    """Number of the plane of every annotated voxel of `seen` (x, y, z), in the order of argwhere, or SCATTERED.

    A voxel where planes cross belongs to the one with the lower number.
    """
    index = np.argwhere(seen)
    plane, number = _whole_slices(seen, index)
    left = np.flatnonzero(plane == SCATTERED)
    while len(left) >= SMALLEST:
        members = _largest(index[left].astype(np.float64), rng)
        if np.count_nonzero(members) < SMALLEST:
            break
        plane[left[members]] = number
        left, number = left[~members], number + 1
    return plane


def _whole_slices(seen: NDArray[np.bool_], index: Ints) -> tuple[Ints, int]:
    """Planes (n,) of voxels on slices that are annotated throughout, and how many such planes there are."""
    plane = np.full(len(index), SCATTERED, dtype=np.int64)
    number = 0
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        for place in np.flatnonzero(seen.all(axis=others)).tolist():
            plane[(index[:, axis] == place) & (plane == SCATTERED)] = number
            number += 1
    return plane, number


def fit_plane(points: Floats) -> tuple[Floats, Floats]:
    """Unit normal (3,) and centre (3,) of the plane with the least squared distances to points (n, 3)."""
    centre = points.mean(axis=0)
    _, axes = np.linalg.eigh((points - centre).T @ (points - centre))
    return axes[:, 0], centre


def _largest(points: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Membership (n,) of the largest plane that was found."""
    normals, centres = _triples(points, rng)
    shown = points[rng.choice(len(points), min(SCORED, len(points)), replace=False)]
    votes = [np.count_nonzero(_passes(shown, n, c)) for n, c in zip(normals, centres, strict=True)]
    best = np.zeros(len(points), dtype=bool)
    for i in np.argsort(votes, kind="stable")[::-1][:REFINED].tolist():
        members = _refined(points, normals[i], centres[i])
        if np.count_nonzero(members) > np.count_nonzero(best):
            best = members
    return best


def _triples(points: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Normals and centres, each (m, 3), of planes through random triples of nearby points."""
    first = points[rng.integers(len(points), size=TRIES)]
    near = np.asarray(cKDTree(points).query(first, k=min(NEIGHBOURS, len(points)))[1])
    row = np.arange(TRIES)
    second, third = (points[near[row, rng.integers(near.shape[1], size=TRIES)]] for _ in range(2))
    normals = np.cross(second - first, third - first)
    length = np.linalg.norm(normals, axis=1)
    good = length > 0
    return normals[good] / length[good, None], first[good]


def _refined(points: Floats, normal: Floats, centre: Floats) -> NDArray[np.bool_]:
    """Members of a plane that is fitted to its members until they no longer grow."""
    members = _passes(points, normal, centre)
    while np.count_nonzero(members) >= SMALLEST:
        fitted = _passes(points, *fit_plane(points[members]))
        if np.count_nonzero(fitted) <= np.count_nonzero(members):
            break
        members = fitted
    return members


def _passes(points: Floats, normal: Floats, centre: Floats) -> NDArray[np.bool_]:
    """Whether the plane passes through the cubes of voxels."""
    passed: NDArray[np.bool_] = np.abs((points - centre) @ normal) <= np.abs(normal).sum() / 2 + 1e-9
    return passed
