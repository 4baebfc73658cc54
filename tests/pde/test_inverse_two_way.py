"""Networks that go both ways: what is invertible is so to round-off, and both learn both directions."""

from typing import get_args

import numpy as np
import pytest
import torch

from voxfield.pde.inverse._dgno import Darcy
from voxfield.pde.inverse._two_way import Coupling, InvertibleUNet, Kind, TwoWay, cycle_errors
from voxfield.pde.inverse._two_way_train import draw_pairs, train_two_way, two_way_errors

DARCY = Darcy(5.0, 10.0, 10.0, 13, waves=4)


@pytest.mark.parametrize("part", [Coupling, InvertibleUNet])
def test_inverse_of_forward_is_the_identity_to_round_off(part: type) -> None:
    torch.manual_seed(0)
    network, x = part(8).double(), torch.randn(3, 8, 12, 12, dtype=torch.float64)
    y = network(x)
    assert (y - x).abs().max() > 0.01
    torch.testing.assert_close(network.inverse(y), x, rtol=0, atol=1e-12)
    torch.testing.assert_close(network(network.inverse(x)), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_grids_of_any_size_keep_it(kind: Kind) -> None:
    for cells in (8, 13, 15):
        network = TwoWay(Darcy(5.0, 10.0, 10.0, cells), kind, channels=4)
        grid = torch.full((2, cells, cells), 5.0)
        assert network(grid).shape == network.inverse(grid).shape == grid.shape


def test_permeabilities_stay_between_the_two() -> None:
    network = TwoWay(DARCY, "xnet", channels=4)
    found = network.inverse(100 * torch.randn(2, 13, 13))
    assert found.min() >= 5
    assert found.max() <= 10


def test_cycle_errors_are_those_of_a_network_that_is_wrong_by_a_known_factor() -> None:
    class Doubling(TwoWay):
        def forward(self, permeability: torch.Tensor) -> torch.Tensor:
            return 2 * permeability

        def inverse(self, pressure: torch.Tensor) -> torch.Tensor:
            return pressure

    grid = torch.rand(2, 13, 13) + 1
    assert cycle_errors(Doubling(DARCY, "xnet", 4), grid, grid) == pytest.approx((1, 1))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_both_directions_are_learnt(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    network = train_two_way(DARCY, kind, draw_pairs(DARCY, 200, rng), steps=80, seed=0)
    held_out = draw_pairs(DARCY, 50, rng)
    errors = two_way_errors(network, held_out)
    constant = float((held_out.permeability - 7.5).norm() / held_out.permeability.norm())
    assert errors.forward < 0.3
    assert errors.inverse < 0.9 * constant
    assert errors.cycle_permeability < constant
