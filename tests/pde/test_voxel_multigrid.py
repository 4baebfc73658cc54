"""The grids behind voxel systems: against dense algebra on any mask, boxed as gathered, at any anisotropy."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from pde.exact import bent_tube
from voxfield.errors import InputError
from voxfield.pde import VoxelDomain
from voxfield.pde.voxels import VoxelPoisson, _boxed, _gathered
from voxfield.pde.voxels._network import Network
from voxfield.pde.voxels._solver import NetworkSolver

NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
BOXED = ["cpu", pytest.param("cuda", marks=NEEDS_GPU)]
DEVICES = [None, *BOXED]


@pytest.fixture(scope="module")
def many_grids() -> Iterator[None]:
    """Grids go down to three nodes, so that small masks have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_gathered, "COARSEST", 3)
        patch.setattr(_boxed, "COARSEST", 3)
        yield


@pytest.mark.usefixtures("many_grids")
@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=40, deadline=None)
@given(arrays(bool, st.tuples(*[st.integers(1, 6)] * 3)), st.floats(0, 1), st.integers(0, 2**16))
def test_any_mask_with_any_coefficients(device: str | None, mask: np.ndarray, leaky: float, seed: int) -> None:
    if not mask.any():
        return
    rng = np.random.default_rng(seed)
    network = random_network(mask, leaky, rng)
    rhs = rng.standard_normal((network.size, 2))
    solver = NetworkSolver(network, rtol=1e-11, device=device)
    rhs -= solver.kernel @ (solver.kernel.T @ rhs)
    found = solver.solve(rhs)
    expected = np.linalg.pinv(network.matrix.toarray(), rcond=1e-12) @ rhs
    np.testing.assert_allclose(found.values, expected, atol=1e-7 * (1 + np.abs(expected).max()))
    assert (found.residual <= 1e-10).all()


def random_network(mask: np.ndarray, leaky: float, rng: np.random.Generator) -> Network:
    """Conductances from .1 to 10, and a leak in a share of the voxels."""
    domain = VoxelDomain(mask, (1.0, 1.0, 1.0))
    lower, upper = (np.concatenate(ends) for ends in zip(*domain.faces, strict=True))
    leak = np.where(rng.random(domain.size) < leaky / 10, rng.random(domain.size), 0.0)
    return Network(domain.cells, lower, upper, 10 ** rng.uniform(-1, 1, len(lower)), leak)


def tube(steps: tuple[int, int, int], device: str | None = None) -> VoxelPoisson:
    """A bent tube with values at its ends."""
    mask, _, spacing = bent_tube(steps)
    walls = np.zeros(mask.shape, dtype=int)
    walls[0], walls[-1] = 1, 2
    kinds = {1: "dirichlet", 2: "dirichlet"}
    return VoxelPoisson(mask, spacing, walls=walls, conditions=kinds, rtol=1e-10, device=device)


@pytest.mark.parametrize("device", BOXED)
@pytest.mark.parametrize("steps", [(24, 24, 24), (30, 31, 9)], ids=["cubes", "plates"])
def test_boxes_give_what_gathered_voxels_give(device: str, steps: tuple[int, int, int]) -> None:
    gathered, boxed = tube(steps), tube(steps, device)
    forcing = np.random.default_rng(0).standard_normal((gathered.domain.size, 2))
    ours, theirs = (solver.solve(forcing, {1: 0.0, 2: 1.0}) for solver in (gathered, boxed))
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-8 * np.abs(ours.values).max())
    assert abs(ours.iterations - theirs.iterations) <= 2


@pytest.mark.parametrize("device", DEVICES)
def test_a_set_up_that_was_used_gives_what_a_fresh_one_gives(device: str | None) -> None:
    used = tube((20, 18, 16), device)
    forcing = np.random.default_rng(0).standard_normal((used.domain.size, 2)).T
    used.solve(forcing[0], {1: 3.0, 2: 1.0})
    again = used.solve(forcing[1], {1: 0.0, 2: 0.5})
    fresh = tube((20, 18, 16), device).solve(forcing[1], {1: 0.0, 2: 0.5})
    np.testing.assert_array_equal(again.values, fresh.values)
    assert again.iterations == fresh.iterations


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1, 1, 4), (5, 1, 1), (1, 4, 9), (1, 1, 50)])
def test_iterations_stay_few_at_any_size_and_anisotropy(spacing: tuple[float, float, float]) -> None:
    counts = []
    for n in (12, 20, 32):
        mask = np.ones((n, n, n), dtype=bool)
        mask[n // 3 : n // 2, n // 4 :, : n // 2] = False
        walls = np.zeros(mask.shape, dtype=int)
        walls[0] = 1
        solver = VoxelPoisson(mask, spacing, walls=walls, conditions={1: "dirichlet"})
        counts.append(solver.solve(1.0, {1: 0.0}).iterations)
    assert max(counts) <= 25


def test_parts_that_share_blocks_but_no_face_stay_apart() -> None:
    """Two interleaved combs, a voxel apart: held at 0 and at 1, they keep these values."""
    mask = np.ones((16, 16, 17), dtype=bool)
    mask[:, :, 1::2] = False
    walls = np.zeros(mask.shape, dtype=int)
    walls[0, :, 0::4], walls[0, :, 2::4] = 1, 2
    solver = VoxelPoisson(mask, (1, 1, 1), walls=walls, conditions={1: "dirichlet", 2: "dirichlet"}, rtol=1e-11)
    found = solver.domain.dense(solver.solve(0.0, {1: 0.0, 2: 1.0}).values)
    np.testing.assert_allclose(found[:, :, 0::4], 0, atol=1e-9)
    np.testing.assert_allclose(found[:, :, 2::4], 1, atol=1e-9)


def test_contrast_of_many_orders_converges() -> None:
    rng = np.random.default_rng(0)
    mask = np.ones((20, 20, 20), dtype=bool)
    walls = np.zeros(mask.shape, dtype=int)
    walls[0], walls[-1] = 1, 2
    kinds = {1: "dirichlet", 2: "dirichlet"}
    solver = VoxelPoisson(mask, (1, 1, 1), walls=walls, conditions=kinds, coefficient=10 ** rng.uniform(-3, 3, 8000))
    found = solver.solve(0.0, {1: 0.0, 2: 1.0})
    assert found.residual[0] <= 1e-8
    assert found.iterations < 100


def test_a_matrix_that_is_no_network_is_refused() -> None:
    cells = np.array([[0, 0, 0], [2, 0, 0]])
    with pytest.raises(InputError, match="1 couplings are positive or join voxels without a common face"):
        Network.from_matrix(sparse.csr_array([[1.0, -1.0], [-1.0, 1.0]]), cells)
    with pytest.raises(InputError, match="1 couplings are positive"):
        Network.from_matrix(sparse.csr_array([[2.0, 1.0], [1.0, 2.0]]), cells // 2)


def test_a_network_and_its_matrix_are_the_same() -> None:
    network = random_network(np.random.default_rng(4).random((5, 4, 3)) < 0.7, 0.5, np.random.default_rng(1))
    again = Network.from_matrix(network.matrix, network.cells)
    np.testing.assert_allclose(again.matrix.toarray(), network.matrix.toarray(), atol=1e-14)
    np.testing.assert_allclose(again.leak, network.leak, atol=1e-14)
