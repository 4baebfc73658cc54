"""Discrete momentum balance of steady incompressible flow on a staggered lattice.

For the volume around every unknown face: what the carried momentum q u takes out, minus viscous stress, minus
the pressure difference. Carried velocities are means of both sides, which conserves mass, momentum and kinetic
energy (Harlow & Welch 1965; Morinishi et al., J. Comput. Phys. 143, 1998), plus |q|/16 times the third
difference of the line, the dissipative half of Leonard's QUICK (1979): third order, it only damps waves of two
voxels. At outlets momentum leaves but does not enter (directional do-nothing condition, Braack & Mucha 2014),
which keeps flow with recirculation at an outlet stable.

Units: voxel edge, mean inlet velocity, density; so viscosity is 1 / (Reynolds number of a voxel).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from voxfield.phantoms._lattice import Int, Lattice, Real


class Momentum:
    """Residual and matrices of the momentum balance of one lattice at one viscosity."""

    def __init__(self, lattice: Lattice, viscosity: float, damping: float = 1 / 16) -> None:
        self.lattice = lattice
        self.viscosity = viscosity
        self.damping = damping
        f = lattice.interfaces
        count, zero = f.left.size, lattice.zero
        ones = np.ones(count)
        rows = np.concatenate([f.left, f.right])
        signs, columns = np.concatenate([ones, -ones]), np.tile(np.arange(count), 2)
        free = rows < lattice.n_free
        shape = (lattice.n_free, count)
        self._balance = sparse.csr_matrix((signs[free], (rows[free], columns[free])), shape=shape)
        self._mean = self._line([f.left, f.right], [0.5 * ones, 0.5 * ones])
        self._carry = self._line([f.carry_a, f.carry_b], [0.5 * f.share, 0.5 * f.share])
        stress = self._line([f.left, f.right], [f.conductance, -f.conductance])
        self._viscous = (self._balance @ stress).tocsr()
        inner = ((f.far_left < zero) & (f.left < zero) & (f.right < zero) & (f.far_right < zero)).astype(float)
        self._third = self._line([f.far_left, f.left, f.right, f.far_right], [-inner, 3 * inner, -3 * inner, inner])
        self._outlet = f.share == 2.0
        self._outward = np.where(f.right == zero, 1.0, -1.0)
        self._gradient = lattice.divergence.T.tocsr()[: lattice.n_free]

    def _line(self, columns: list[Int], weights: list[Real]) -> sparse.csr_matrix:
        """Matrix (interfaces, faces) that combines the given faces of every interface; faces at rest drop out."""
        count = columns[0].size
        rows, cols, values = np.tile(np.arange(count), len(columns)), np.concatenate(columns), np.concatenate(weights)
        keep = (cols < self.lattice.n_faces) & (values != 0)
        return sparse.csr_matrix((values[keep], (rows[keep], cols[keep])), shape=(count, self.lattice.n_faces))

    def _carrier(self, velocity: Real) -> tuple[Real, NDArray[np.bool_]]:
        """Mass flux through every interface, and where an outlet shuts off the momentum of backflow."""
        flux = self._carry @ velocity
        shut = self._outlet & (flux * self._outward < 0)
        return np.where(shut, 0.0, flux), shut

    def residual(self, velocity: Real, pressure: Real) -> Real:
        """Net force on the volume of every unknown face, (n_free,); zero for a solution."""
        flux, _ = self._carrier(velocity)
        carried = flux * (self._mean @ velocity) + self.damping * np.abs(flux) * (self._third @ velocity)
        return np.asarray(
            self._balance @ carried + self.viscosity * (self._viscous @ velocity) - self._gradient @ pressure
        )

    def jacobian(self, velocity: Real) -> sparse.csr_matrix:
        """Derivative of the residual with respect to the unknown faces, (n_free, n_free)."""
        flux, shut = self._carrier(velocity)
        slope = self._mean @ velocity + self.damping * np.sign(flux) * (self._third @ velocity)
        carried = (
            _scaled(flux, self._mean)
            + _scaled(self.damping * np.abs(flux), self._third)
            + _scaled(np.where(shut, 0.0, slope), self._carry)
        )
        matrix = self._balance @ carried + self.viscosity * self._viscous
        return self._unknown(matrix)

    def upwind(self, velocity: Real) -> sparse.csr_matrix:
        """Momentum matrix with frozen carriers, upwinded where convection wins: an M-matrix for smoothing."""
        flux, _ = self._carrier(velocity)
        f = self.lattice.interfaces
        extra = np.maximum(0.5 * np.abs(flux) - self.viscosity * f.conductance, 0.0)
        extra[self._outlet] = 0.0
        matrix = self._balance @ (_scaled(flux, self._mean) + self._line([f.left, f.right], [extra, -extra]))
        return self._unknown(matrix + self.viscosity * self._viscous)

    def _unknown(self, matrix: sparse.csr_matrix) -> sparse.csr_matrix:
        """The columns of the unknown faces."""
        return sparse.csr_matrix(matrix[:, : self.lattice.n_free])


def _scaled(weights: Real, matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix(
        (matrix.data * np.repeat(weights, np.diff(matrix.indptr)), matrix.indices, matrix.indptr), shape=matrix.shape
    )
