"""Parts of the deep generative operator: test functions, MultiONet, weak residuals, training."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from voxfield.errors import InputError
from voxfield.pde.inverse._dgno import Darcy, DeepGenerativeOperator, Sizes, vanishing
from voxfield.pde.inverse._latent import SATURATED, LatentPrior, latent_prior, learned_pressure
from voxfield.pde.inverse._multionet import MultiONet, gated, wave
from voxfield.pde.inverse._stored import from_model, to_model
from voxfield.pde.inverse._train import Recipe, forward_error, level_set_prior, train
from voxfield.pde.inverse._weak_form import at_places, weak_residual
from voxfield.pde.inverse._wendland import unit_ball, wendland, wendland_over_r

DARCY, SIZES = Darcy(5.0, 10.0, 10.0, 12, waves=4), Sizes(latent=6, width=12, depth=3, last=2)


def test_wendland_takes_its_closed_values() -> None:
    """phi = (1 - r)^6 (35 r^2 + 18 r + 3) / 3: 1 at 0; (1/64) (35/4 + 9 + 3) / 3 at 1/2; 0 from 1 on."""
    np.testing.assert_allclose(wendland(np.array([0.0, 0.5, 1.0, 2.0])), [1, 20.75 / 192, 0, 0], atol=1e-15)


def test_wendland_slope_is_that_of_differences() -> None:
    r, h = np.linspace(0.05, 0.95, 9), 1e-5
    np.testing.assert_allclose(wendland_over_r(r) * r, (wendland(r + h) - wendland(r - h)) / (2 * h), atol=1e-8)


@pytest.mark.parametrize(
    ("power", "mean"), [((0, 0), 1), ((2, 0), 1 / 4), ((2, 2), 1 / 24), ((4, 0), 1 / 8), ((1, 2), 0)]
)
def test_ball_integrates_polynomials_exactly(power: tuple[int, int], mean: float) -> None:
    ball = unit_ball(3, 6)
    assert ball.weights @ np.prod(ball.points ** np.array(power), axis=1) == pytest.approx(mean, abs=1e-14)


def test_multionet_by_hand() -> None:
    """One layer of width one: w * wave(x - y) * gated(2 beta) + b."""
    net = MultiONet(1, width=1, depth=1, last=1)
    values = {"trunk.linear.0.weight": [[1.0, -1.0]], "trunk.linear.0.bias": [0.0], "branch.linear.0.weight": [[2.0]]}
    values |= {"branch.linear.0.bias": [0.0], "weight": [3.0], "bias": 0.5}
    net.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    found = net(torch.tensor([[0.5]]), torch.tensor([[0.75, 0.25]]))
    by_hand = 3 * (math.tanh(math.sin(1.5 * math.pi)) + 0.5) * (1 / (1 + math.exp(-1)) + 1) + 0.5
    assert found.item() == pytest.approx(by_hand, abs=1e-5)
    assert wave(torch.zeros(1)).item() == pytest.approx(0, abs=1e-6)
    assert gated(torch.zeros(1)).item() == 0


def test_multionet_gradient_is_that_of_reverse_mode() -> None:
    torch.manual_seed(0)
    net = MultiONet(3, width=8, depth=3, last=2)
    torch.nn.init.normal_(net.weight)
    beta, places = torch.randn(4, 3), torch.rand(5, 2, requires_grad=True)
    values, gradient = net.with_gradient(beta, places)
    torch.testing.assert_close(values, net(beta, places))
    reverse = torch.stack([torch.autograd.grad(row.sum(), places, retain_graph=True)[0] for row in net(beta, places)])
    torch.testing.assert_close(gradient, reverse, rtol=1e-4, atol=1e-5)


def test_pressure_vanishes_on_the_boundary_with_its_gradient_right() -> None:
    edge = torch.tensor([[0.0, 0.3], [1.0, 0.7], [0.2, 0.0], [0.9, 1.0]])
    torch.testing.assert_close(vanishing(edge)[0], torch.zeros(4), atol=1e-6, rtol=0)
    places = torch.rand(6, 2, requires_grad=True, generator=torch.Generator().manual_seed(0))
    value, gradient = vanishing(places)
    torch.testing.assert_close(gradient, torch.autograd.grad(value.sum(), places)[0], rtol=1e-5, atol=1e-5)


def exact_flux(places: Tensor) -> Tensor:
    """Of div s = -2 pi^2 in the model's units: a particular solution and the curl of a stream function."""
    x, y = places.unbind(-1)
    swirl = torch.stack([torch.sin(3 * x) * torch.exp(2 * y) * 2, -3 * torch.cos(3 * x) * torch.exp(2 * y)], dim=-1)
    return -(math.pi**2) * places + swirl


def test_weak_residual_of_an_exact_solution_vanishes_at_the_rate_of_its_quadrature() -> None:
    """Six spokes are exact up to degree five: the first wrong term of flux times gradient is of degree six in r."""
    ball = unit_ball(5, 6)
    affine = -(math.pi**2) * torch.tensor(ball.points)[None, None]
    assert weak_residual(affine, ball, 1.0).item() == pytest.approx(0, abs=1e-12)
    assert weak_residual(torch.zeros(1, 1, len(ball.weights), 2), ball, 0.1).item() == -1
    centres = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    worst = []
    for radius in (0.8, 0.4):
        places = centres[:, None] + radius * torch.tensor(ball.points)
        worst.append(weak_residual(exact_flux(places)[None], ball, radius).abs().max().item())
    assert math.log2(worst[0] / worst[1]) == pytest.approx(4, abs=0.3)


def test_cells_are_looked_up_where_a_place_lies() -> None:
    cells = torch.arange(9.0).reshape(1, 3, 3)
    assert at_places(cells, torch.tensor([[0.1, 0.9], [0.5, 0.2], [1.0, 1.0]])).tolist() == [[2.0, 3.0, 8.0]]


@pytest.fixture(scope="module")
def trained() -> tuple[DeepGenerativeOperator, dict[str, list[float]]]:
    return train(DARCY, SIZES, Recipe(steps=120, batch=16, places=64, learning_rate=5e-3), seed=0)


def test_training_without_solutions_comes_near_to_them(
    trained: tuple[DeepGenerativeOperator, dict[str, list[float]]],
) -> None:
    network, history = trained
    assert history["equation"][0] == pytest.approx(1, rel=0.1)  # the first network has no flux
    assert np.mean(history["equation"][-10:]) < 0.4
    assert forward_error(network, fields=8, seed=1) < 0.7  # 1 for no pressure at all


def test_same_seed_same_weights() -> None:
    recipe = Recipe(steps=2, batch=4, places=8)
    one, other = (train(DARCY, SIZES, recipe, seed=3)[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_model_comes_back_from_its_artifact(trained: tuple[DeepGenerativeOperator, dict[str, list[float]]]) -> None:
    network, _ = trained
    again = from_model(to_model(network, {}))
    a = level_set_prior(DARCY).field(np.random.default_rng(0).standard_normal((2, 15)))
    np.testing.assert_array_equal(learned_pressure(network, a), learned_pressure(again, a))


def test_weights_that_do_not_fit_are_refused(trained: tuple[DeepGenerativeOperator, dict[str, list[float]]]) -> None:
    model = to_model(trained[0], {})
    model.config["sizes"]["width"] = 9
    with pytest.raises(InputError, match="do not fit"):
        from_model(model)
    model.family = "segmentation"
    with pytest.raises(InputError, match=r"pde\.inverse_train"):
        from_model(model)


def test_latent_prior_has_the_moments_of_the_codes(
    trained: tuple[DeepGenerativeOperator, dict[str, list[float]]],
) -> None:
    network, _ = trained
    a = level_set_prior(DARCY).field(np.random.default_rng(0).standard_normal((300, 15)))
    latent = network.encode(torch.tensor(a, dtype=torch.float32)).detach().double().numpy()
    codes = np.arctanh(np.clip(latent, -SATURATED, SATURATED))
    prior = latent_prior(network, a)
    assert isinstance(prior, LatentPrior)
    np.testing.assert_allclose(prior.mean, codes.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(prior.factor @ prior.factor.T, np.cov(codes.T), rtol=1e-2, atol=1e-4)
    assert set(np.unique(prior.field(np.zeros((2, prior.size))))) <= {5.0, 10.0}
