"""Strain energy of a displacement on a regular grid of nodes, by bricks with trilinear shape functions.

U(u) = 1/2 integral 2 mu |e - tr(e)/3|^2 + k (tr e)^2, e the linear strain, mu = 1, k = 2 mu (1 + nu) / (3 (1 - 2 nu)):
the linear elastic energy that Bajcsy and Kovacic, "Multiresolution elastic matching" (CVGIP 46, 1989), match images
under, and the small-strain limit of the energy of WarpPINN (Lopez et al., Medical Image Analysis 89, 2023). Towards
nu = 1/2 volume is kept. The part that changes shape is integrated with 2^3 points, the part that changes volume with
one (selective reduced integration, Hughes, International Journal for Numerical Methods in Engineering 15, 1980), since
bricks would lock otherwise. Shifts and linear rotations cost nothing, to rounding.
"""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CORNERS = tuple(product((0, 1), repeat=3))


class Elastic:
    """The energy on a grid of nodes; displacements are (..., x, y, z, 3) mm along the axes of the grid.

    shape    (x, y, z) nodes
    spacing  mm between nodes
    poisson  ratio nu, below 1/2
    moduli   (x - 1, y - 1, z - 1) shear moduli of the bricks; None: 1
    """

    def __init__(
        self, shape: tuple[int, int, int], spacing: Floats, poisson: float, moduli: Floats | None = None
    ) -> None:
        self.shape = shape
        self._moduli = np.ones(tuple(n - 1 for n in shape)) if moduli is None else moduli
        self.stiffness = brick_stiffness(spacing, poisson)
        values, vectors = np.linalg.eigh(self.stiffness)
        self._root = vectors * np.sqrt(np.maximum(values, 0))
        self.rank = 3 * int(np.prod(shape)) - 6
        self.volume = float(self._moduli.sum() * np.prod(spacing))

    def force(self, displacement: Floats) -> Floats:
        """K u, the gradient of the energy."""
        return self._scattered(self._moduli[..., None] * (self._gathered(displacement) @ self.stiffness))

    def energy(self, displacement: Floats) -> float:
        """u^T K u / 2, mm^3 in units of the shear modulus."""
        return float((displacement * self.force(displacement)).sum()) / 2

    def diagonal(self) -> Floats:
        """(x, y, z, 3) diagonal of K."""
        return self._scattered(self._moduli[..., None] * np.diag(self.stiffness))

    def noise(self, rng: np.random.Generator) -> Floats:
        """A draw (x, y, z, 3) with covariance K."""
        white = rng.standard_normal((*self._moduli.shape, 24))
        return self._scattered(np.sqrt(self._moduli)[..., None] * (white @ self._root.T))

    def _gathered(self, displacement: Floats) -> Floats:
        """Displacements (..., bricks, 24) of the corners of each brick."""
        return np.concatenate([displacement[corner] for corner in self._corners], axis=-1)

    def _scattered(self, parts: Floats) -> Floats:
        """The sum over bricks, at the nodes."""
        total = np.zeros((*parts.shape[:-4], *self.shape, 3))
        for number, corner in enumerate(self._corners):
            total[corner] += parts[..., 3 * number : 3 * number + 3]
        return total

    @cached_property
    def _corners(self) -> list[tuple[Any, ...]]:
        """Where the nodes are that are a corner of some brick, by corner."""
        ends = [[slice(side, n - 1 + side) for side in (0, 1)] for n in self.shape]
        return [(..., ends[0][x], ends[1][y], ends[2][z], slice(None)) for x, y, z in CORNERS]


def brick_stiffness(spacing: Floats, poisson: float) -> Floats:
    """(24, 24) stiffness of one brick; corner by corner, three components each."""
    bulk = 2 * (1 + poisson) / (3 * (1 - 2 * poisson))
    volume = float(np.prod(spacing))
    shear = np.diag([2.0, 2, 2, 1, 1, 1])
    shear[:3, :3] -= 2 / 3
    side = 0.5 / np.sqrt(3)
    stiffness = np.zeros((24, 24))
    for point in product((0.5 - side, 0.5 + side), repeat=3):
        strain = _strain(np.array(point), spacing)
        stiffness += volume / 8 * strain.T @ shear @ strain
    middle = _strain(np.full(3, 0.5), spacing)[:3].sum(axis=0)
    stiffness += volume * bulk * np.outer(middle, middle)
    return (stiffness + stiffness.T) / 2


def _strain(place: Floats, spacing: Floats) -> Floats:
    """(6, 24) from corner displacements to e_xx, e_yy, e_zz, 2 e_xy, 2 e_yz, 2 e_zx at a place in the unit brick."""
    strain = np.zeros((6, 24))
    for number, corner in enumerate(CORNERS):
        along = np.where(np.array(corner) == 1, place, 1 - place)
        sign = np.where(np.array(corner) == 1, 1.0, -1.0)
        slope = [sign[a] / spacing[a] * along[(a + 1) % 3] * along[(a + 2) % 3] for a in range(3)]
        column = 3 * number
        for a in range(3):
            b = (a + 1) % 3
            strain[a, column + a] = slope[a]
            strain[3 + a, column + a] = slope[b]
            strain[3 + a, column + b] = slope[a]
    return strain
