"""Zeros of a vector field on the voxels of a lumen: their degree and kind.

Each cube between eight voxels is cut into the six tetrahedra along its diagonal (Freudenthal), which fit together from
cube to cube. The field is linear in a tetrahedron; it has a zero there where the barycentric coordinates of 0 among its
four vectors are all positive, and the degree of the zero is the sign of the Jacobian determinant, that is the
orientation of the four vectors over that of the four places. This degree does not change under small changes of the
field away from zeros; the sum over a region is that of the field on its boundary (Greene, "Locating three-dimensional
roots by a bisection method", J. Comput. Phys. 98, 1992).

The kind follows from the eigenvalues of the Jacobian: source or sink where all real parts have one sign, otherwise
vortex where two are complex (the flow spirals in a plane, as it does around the core of a swirl), otherwise saddle.
"""

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.surface._poincare import Kind

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
CORNERS = np.array(list(np.ndindex(2, 2, 2)))


def _tetrahedra() -> Integers:
    """(6, 4) corners of a cube, from (0, 0, 0) to (1, 1, 1) by one axis at a time, all of positive orientation."""
    found = []
    for order in permutations(range(3)):
        steps = np.cumsum(np.vstack([np.zeros(3, int), np.eye(3, dtype=int)[list(order)]]), axis=0)
        if np.linalg.det(steps[1:] - steps[0]) < 0:
            steps = steps[[0, 2, 1, 3]]
        found.append([int(np.flatnonzero((step == CORNERS).all(axis=1))[0]) for step in steps])
    return np.array(found)


TETRAHEDRA = _tetrahedra()


def critical_points(
    field: NDArray[np.float32], lowest: Integers, lumen: NDArray[np.bool_], axes: Floats
) -> tuple[Integers, Integers, Integers]:
    """Cube, degree and kind of each zero.

    field   (x, y, z, 3) along world axes
    lowest  (m, 3) voxel at the lowest corner of each cube
    lumen   (x, y, z) cubes with a corner outside are left out
    axes    (3, 3) voxel steps in mm, the affine without its origin
    """
    cubes = np.arange(len(lowest))
    for component in range(3):  # a component that keeps its sign at all corners has no zero between them
        values = _at_corners(field[..., component], lowest[cubes])
        cubes = cubes[(values.min(axis=1) < 0) & (values.max(axis=1) > 0)]
    cubes = cubes[_at_corners(lumen, lowest[cubes]).all(axis=1)]
    vectors = _at_corners(field, lowest[cubes]).astype(np.float64)[:, TETRAHEDRA]
    difference = np.swapaxes(vectors[:, :, 1:] - vectors[:, :, :1], -1, -2)
    determinant = np.linalg.det(difference)
    cube, part = np.nonzero(determinant)
    weights = np.linalg.solve(difference[cube, part], -vectors[cube, part, 0][..., None])[..., 0]
    inside = (weights > 0).all(axis=1) & (weights.sum(axis=1) < 1)
    cube, part = cube[inside], part[inside]
    places = CORNERS[TETRAHEDRA[part]] @ axes.T
    jacobian = difference[cube, part] @ np.linalg.inv(np.swapaxes(places[:, 1:] - places[:, :1], -1, -2))
    degree = np.sign(np.linalg.det(jacobian)).astype(np.int64)
    return cubes[cube], degree, _kinds(jacobian)


def _at_corners(values: NDArray[Any], lowest: Integers) -> NDArray[Any]:
    """(m, 8, ...) values at the corners of cubes."""
    i, j, k = np.moveaxis(lowest[:, None] + CORNERS, -1, 0)
    found: NDArray[Any] = values[i, j, k]
    return found


def _kinds(jacobian: Floats) -> Integers:
    eigenvalues = np.linalg.eigvals(jacobian)
    outward, inward = (eigenvalues.real > 0).all(axis=1), (eigenvalues.real < 0).all(axis=1)
    spiral = (np.abs(eigenvalues.imag) > 0).any(axis=1)
    choices = [outward, inward, spiral]
    return np.select(choices, [Kind.SOURCE, Kind.SINK, Kind.VORTEX], Kind.SADDLE).astype(np.int64)
