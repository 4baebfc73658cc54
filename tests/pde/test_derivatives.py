"""Local fits: exact for what they can represent, harmless where neighbours are missing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pde.exact import bent_tube
from voxfield.pde import LocalFit, VoxelDomain


def quadratic(points: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    linear, square = rng.standard_normal(3), rng.standard_normal((3, 3))
    square = square + square.T
    values = 0.7 + points @ linear + np.einsum("ni,ij,nj->n", points, square, points) / 2
    return values[:, None], linear + points @ square, np.full(len(points), np.trace(square))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999), st.tuples(*[st.floats(0.3, 3.0)] * 3))
def test_quadratics_are_differentiated_exactly_up_to_the_wall(seed: int, spacing: tuple[float, float, float]) -> None:
    mask, _, _ = bent_tube((12, 14, 13))
    domain = VoxelDomain(mask, spacing)
    values, gradient, laplacian = quadratic(domain.cells * np.array(spacing), seed)
    found = LocalFit(domain).derivatives(values)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(found.gradient[:, :, 0], gradient, atol=2e-3 * scale)
    np.testing.assert_allclose(found.laplacian[:, 0], laplacian, atol=4e-3 * scale / min(spacing))


def test_where_neighbours_are_missing_the_fit_falls_back() -> None:
    thread = np.zeros((9, 3, 3), dtype=bool)
    thread[:, 1, 1] = True
    domain = VoxelDomain(thread, (1.0, 1.0, 1.0))
    found = LocalFit(domain).derivatives(3 * domain.cells[:, :1].astype(float))
    np.testing.assert_allclose(found.gradient[:, :, 0], [[3, 0, 0]] * 9, atol=1e-3)
    np.testing.assert_allclose(found.laplacian, 0, atol=1e-3)
    alone = VoxelDomain(np.ones((1, 1, 1), dtype=bool), (1.0, 1.0, 1.0))
    assert np.abs(LocalFit(alone).derivatives(np.full((1, 1), 5.0)).gradient).max() < 1e-9


def test_gradients_converge_with_second_order_and_the_laplacian_with_first() -> None:
    errors = []
    for n in (16, 24, 36):
        mask, points, spacing = bent_tube((n, n, n))
        domain = VoxelDomain(mask, spacing)
        x, y, z = points[mask].T
        found = LocalFit(domain).derivatives(np.sin(3 * x + 2 * y - z)[:, None])
        wave = np.cos(3 * x + 2 * y - z)[:, None] * np.array([3, 2, -1])
        errors.append(
            (
                np.abs(found.gradient[:, :, 0] - wave).max(),
                np.abs(found.laplacian[:, 0] + 14 * np.sin(3 * x + 2 * y - z)).max(),
            )
        )
    slopes = np.polyfit(np.log([16, 24, 36]), np.log(errors), 1)[0]
    assert slopes[0] < -1.8
    assert slopes[1] < -0.8
