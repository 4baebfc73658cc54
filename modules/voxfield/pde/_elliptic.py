"""Symmetric elliptic systems on voxels, given as matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxfield.pde.voxels._network import Network
from voxfield.pde.voxels._solver import NetworkSolver

if TYPE_CHECKING:
    from scipy import sparse

    from voxfield.pde._domain import Ints


class EllipticSolver(NetworkSolver):
    """Solver of A x = f for one matrix and any number of right sides.

    matrix  (n, n)  symmetric, positive semidefinite, coupling voxels that share a face; rows in the order of the cells
    cells   (n, 3)  voxel index of each unknown
    rtol            relative residual at which a column counts as solved
    """

    def __init__(
        self, matrix: sparse.csr_array, cells: Ints, *, rtol: float = 1e-8, max_iterations: int = 1000
    ) -> None:
        super().__init__(Network.from_matrix(matrix, cells), rtol=rtol, max_iterations=max_iterations)
