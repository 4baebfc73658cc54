"""Trees against brute force, the two losses worked by hand, gradients against finite differences."""

from itertools import combinations

import pytest
import torch

from voxfield.segmentation.losses._spanning_tree import distances, spanning_edges, spread_loss, topological_loss

LINE = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
ONE = torch.zeros((), dtype=torch.float64)  # a log scale of 0


def connects(edges: tuple[tuple[int, int], ...], n: int) -> bool:
    reached, waiting = {0}, [0]
    while waiting:
        at = waiting.pop()
        new = {b if a == at else a for a, b in edges if at in (a, b)} - reached
        reached |= new
        waiting += new
    return len(reached) == n


@pytest.mark.parametrize("seed", range(4))
def test_the_tree_is_the_shortest_of_all(seed: int) -> None:
    distance = distances(torch.rand(5, 3, generator=torch.Generator().manual_seed(seed)))
    trees = (t for t in combinations(combinations(range(5), 2), 4) if connects(t, 5))
    shortest = min(trees, key=lambda tree: sum(float(distance[i, j]) for i, j in tree))
    assert {tuple(sorted(edge)) for edge in spanning_edges(distance).tolist()} == set(shortest)


def test_points_that_coincide_are_joined() -> None:
    edges = spanning_edges(distances(torch.tensor([[0.0], [0.0], [0.0], [2.0]])))
    assert connects(tuple((int(i), int(j)) for i, j in edges), 4)


def test_topological_loss_by_hand() -> None:
    # Inputs on a line at 0, 1, 3: distances over their maximum 1/3, 2/3, 1, tree {01, 12}.
    # Latent points at 0, 2, 1: distances 2, 1, 1, tree {02, 12}.
    latent = torch.tensor([[0.0], [2.0], [1.0]], dtype=torch.float64)
    expected = ((1 / 3 - 2) ** 2 + (2 / 3 - 1) ** 2 + (1 - 1) ** 2 + (2 / 3 - 1) ** 2) / 3
    assert topological_loss(LINE, latent, ONE).item() == pytest.approx(expected)
    # A scaled copy costs nothing at its scale.
    assert topological_loss(LINE, 5 * LINE, torch.tensor(15.0).log().double()).item() == pytest.approx(0, abs=1e-12)


def test_spread_by_hand() -> None:
    # Three points on the unit circle, 90 degrees apart: two edges of sqrt 2.
    latent = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    assert spread_loss(latent).item() == pytest.approx(-2 * 2**0.5 / 3)
    assert spread_loss(2 * latent).item() == pytest.approx(1 - 4 * 2**0.5 / 3)


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(6, 4, generator=generator, dtype=torch.float64)
    latent = torch.rand(6, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, s: topological_loss(inputs, z, s), (latent, scale))
    assert torch.autograd.gradcheck(spread_loss, (latent,))


def test_spread_undoes_a_collapse() -> None:
    latent = (1e-2 * torch.randn(16, 2, generator=torch.Generator().manual_seed(1))).requires_grad_()
    optimiser = torch.optim.Adam([latent], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        spread_loss(latent).backward()
        optimiser.step()
    nearest = (distances(latent.detach()) + 9 * torch.eye(16)).min(dim=1).values
    assert nearest.min() > 0.2
