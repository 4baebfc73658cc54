"""The solver against dense algebra and against a direct factorisation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from scipy.sparse.linalg import spsolve

from pde.exact import bent_tube
from voxfield.errors import InputError
from voxfield.pde import EllipticSolver, VoxelDomain


@settings(max_examples=40, deadline=None)
@given(arrays(bool, st.tuples(*[st.integers(1, 4)] * 3)), st.integers(1, 3))
def test_neumann_solution_is_the_one_of_least_norm(mask: np.ndarray, columns: int) -> None:
    domain = VoxelDomain(mask, (1.0, 0.7, 1.9))
    faces = np.random.default_rng(1).standard_normal((sum(domain.face_counts), columns))
    rhs = domain.divergence @ faces
    solution = EllipticSolver(domain.stiffness, domain.cells, rtol=1e-11).solve(rhs)
    expected = np.linalg.pinv(domain.stiffness.toarray()) @ rhs if domain.size else rhs
    np.testing.assert_allclose(solution.values, expected, atol=1e-8)
    assert (solution.residual <= 1e-10).all()


def dirichlet_system() -> tuple[VoxelDomain, sparse.csr_array, np.ndarray]:
    mask, _, spacing = bent_tube((24, 20, 14))
    domain = VoxelDomain(mask, spacing)
    ends = np.isin(domain.cells[:, 0], (0, 23)).astype(float)
    matrix = sparse.csr_array(domain.stiffness + sparse.diags_array(2 * ends / spacing[0] ** 2))
    rhs = 2 * ends * (domain.cells[:, 0] > 0) / spacing[0] ** 2
    return domain, matrix, rhs[:, None]


def test_dirichlet_solution_is_that_of_a_direct_solver() -> None:
    domain, matrix, rhs = dirichlet_system()
    solution = EllipticSolver(matrix, domain.cells, rtol=1e-10).solve(rhs)
    np.testing.assert_allclose(solution.values[:, 0], spsolve(matrix.tocsc(), rhs[:, 0]), atol=1e-8)


def test_iterations_hardly_grow_with_the_length_of_a_tube() -> None:
    counts = []
    for length in (100, 400):
        domain = VoxelDomain(np.ones((length, 6, 6), dtype=bool), (1.0, 1.0, 1.0))
        force = np.random.default_rng(0).standard_normal((sum(domain.face_counts), 1)) + 1
        counts.append(EllipticSolver(domain.stiffness, domain.cells).solve(domain.divergence @ force).iterations)
    assert counts[1] < 1.5 * counts[0] < 150


def test_components_with_and_without_dirichlet_values_stand_side_by_side() -> None:
    mask = np.ones((7, 3, 3), dtype=bool)
    mask[3] = False
    domain = VoxelDomain(mask, (1.0, 1.0, 1.0))
    held = (domain.cells[:, 0] == 0).astype(float)
    matrix = sparse.csr_array(domain.stiffness + sparse.diags_array(held))
    solver = EllipticSolver(matrix, domain.cells, rtol=1e-10)
    assert solver.kernel.shape == (domain.size, 1)
    values = solver.solve(held[:, None]).values[:, 0]
    np.testing.assert_allclose(values, domain.cells[:, 0] < 3, atol=1e-8)


def test_sources_that_do_not_balance_are_refused() -> None:
    domain = VoxelDomain(np.ones((3, 3, 3), dtype=bool), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="without a Dirichlet value; expected 0"):
        EllipticSolver(domain.stiffness, domain.cells).solve(np.ones((27, 1)))


def test_a_zero_column_beside_others_stays_zero() -> None:
    domain = VoxelDomain(np.ones((6, 5, 4), dtype=bool), (1.0, 1.0, 1.0))
    rhs = domain.divergence @ np.random.default_rng(0).standard_normal((sum(domain.face_counts), 2))
    rhs[:, 1] = 0
    values = EllipticSolver(domain.stiffness, domain.cells).solve(rhs).values
    assert np.abs(values[:, 0]).max() > 0
    np.testing.assert_array_equal(values[:, 1], 0)
