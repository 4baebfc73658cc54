"""Networks of operators: against hand-worked blocks, on any grid, gradients, and what a grid must not change."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from voxfield.errors import InputError, SettingsError
from voxfield.pde.operators import build, restore, weights_of
from voxfield.pde.operators._fno import SpectralConvolution
from voxfield.pde.operators._learned import places
from voxfield.pde.operators._patches import merge, split
from voxfield.pde.operators._spectral_block import NeuralSpectralBlock
from voxfield.pde.problem._domain import Axis, Box

SQUARE = Box((Axis("x", 0.0, 1.0, "1"), Axis("y", 0.0, 1.0, "1")))


def where(*shape: int) -> torch.Tensor:
    box = Box(tuple(Axis(name, 0.0, 1.0, "1") for name in "xyz"[: len(shape)]))
    return places([np.linspace(0, 1, n) for n in shape], box)


def block_by_hand() -> NeuralSpectralBlock:
    """One channel, one head, two tokens 0 and ln 3; keys, values and queries are the pixels themselves."""
    block = NeuralSpectralBlock(1, 2, tokens=2, basis=2, heads=1)
    with torch.no_grad():
        block.tokens.copy_(torch.tensor([[[0.0], [math.log(3)]]]))
        for linear in (block.encoder, block.decoder):
            linear.weight.fill_(1.0)
            linear.bias.zero_()
    return block


def test_encoder_and_decoder_by_hand() -> None:
    """Token 0 weighs the pixels 0, 0, 1, 1 alike and becomes 1/2; token ln 3 weighs them 1:1:3:3, ln 3 + 3/4."""
    found = block_by_hand()(torch.tensor([[[[0.0, 0.0], [1.0, 1.0]]]])).flatten()
    first, second = 0.5, math.log(3) + 0.75
    weight = 1 / (1 + math.exp(second - first))
    expected = [(first + second) / 2] * 2 + [1 + weight * first + (1 - weight) * second] * 2
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-6)


def test_transition_by_hand() -> None:
    """T = 1/2 and N = 2: sin and cos of pi/4 and of pi/2."""
    transition = NeuralSpectralBlock(1, 2, tokens=1, basis=2, heads=1).transition
    assert transition(torch.tensor([0.5])).item() == 0.5  # it begins as the identity
    with torch.no_grad():
        transition.constant.fill_(10)
        transition.sines.copy_(torch.tensor([[2.0, 3.0]]))
        transition.cosines.copy_(torch.tensor([[4.0, 5.0]]))
    expected = 0.5 + 10 + 2 * math.sqrt(0.5) + 3 * 1 + 4 * math.sqrt(0.5) + 5 * 0
    assert transition(torch.tensor([0.5])).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("grid", [(4, 6), (2, 4, 6)])
def test_patches_are_taken_apart_and_put_together(grid: tuple[int, ...]) -> None:
    values = torch.arange(2.0 * 3 * math.prod(grid)).reshape(2, 3, *grid)
    patches = split(values, 2)
    assert patches.shape == (2 * math.prod(n // 2 for n in grid), 2 ** len(grid), 3)
    corner = values[0, :, :2, :2] if len(grid) == 2 else values[0, :, :2, :2, :2]
    assert torch.equal(patches[0].T.reshape(corner.shape), corner)
    assert torch.equal(merge(patches, 2, grid), values)


def test_a_patch_does_not_see_another() -> None:
    torch.manual_seed(0)
    block = NeuralSpectralBlock(4, 2, heads=2)
    x = torch.randn(1, 4, 4, 4)
    changed = x.clone()
    changed[..., :2, :2] += 1
    difference = (block(changed) - block(x)).abs().amax(dim=(0, 1))
    assert (difference[:2, :2] > 0).all()
    difference[:2, :2] = 0
    assert (difference == 0).all()


def test_gradients() -> None:
    torch.manual_seed(0)
    block = NeuralSpectralBlock(2, 2, tokens=2, basis=3, heads=1).double()
    for weight in block.parameters():
        torch.nn.init.normal_(weight)
    assert torch.autograd.gradcheck(block, torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True))
    spectral = SpectralConvolution(2, 2, 2).double()
    assert torch.autograd.gradcheck(spectral, torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("name", ["lsm", "fno"])
@pytest.mark.parametrize("grid", [(16, 16), (32, 32), (85, 85), (5, 23), (9, 4, 6)])
def test_any_grid(name: str, grid: tuple[int, ...]) -> None:
    network = build(name, 1, len(grid), {"width": 8})
    with torch.inference_mode():
        found = network(torch.randn(2, 1, *grid), where(*grid))
    assert found.shape == (2, 1, *grid)
    assert torch.isfinite(found).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", ["lsm", "fno"])
def test_gpu_as_cpu(name: str) -> None:
    network, values, at = build(name, 1, 2, {"width": 8}), torch.randn(2, 1, 17, 16), where(17, 16)
    with torch.inference_mode():
        ours = network(values, at)
        theirs = network.cuda()(values.cuda(), at.cuda()).cpu()
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4)


def waves(n: int) -> torch.Tensor:
    """A periodic function with frequencies up to 3 on n x n points; (1, 2, n, n)."""
    x = np.arange(n) / n
    first = np.add.outer(np.sin(4 * np.pi * x), np.cos(6 * np.pi * x))
    second = np.multiply.outer(np.cos(2 * np.pi * x), np.sin(4 * np.pi * x))
    return torch.from_numpy(np.stack([first, second])[None])


def test_a_spectral_convolution_does_not_depend_on_the_grid() -> None:
    torch.manual_seed(0)
    layer = SpectralConvolution(2, 4, 2).double()
    coarse, fine = layer(waves(8)), layer(waves(24))
    torch.testing.assert_close(fine[..., ::3, ::3], coarse)


def test_a_spectral_convolution_commutes_with_translation() -> None:
    torch.manual_seed(0)
    layer = SpectralConvolution(2, 3, 2).double()
    x = torch.randn(1, 2, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x.roll((2, 3), (2, 3))), layer(x).roll((2, 3), (2, 3)))


def test_networks_by_name_and_from_weights() -> None:
    network = build("fno", 1, 2, {"width": 8, "modes": 2}, seed=3)
    again = restore("fno", 1, 2, {"width": 8, "modes": 2}, weights_of(network))
    values = torch.randn(1, 1, 8, 8)
    assert torch.equal(network(values, where(8, 8)), again(values, where(8, 8)))
    with pytest.raises(InputError, match="weights do not fit the network fno"):
        restore("fno", 1, 2, {"width": 16, "modes": 2}, weights_of(network))


def test_bad_networks_are_refused() -> None:
    with pytest.raises(SettingsError, match="'lsn' is unknown; the nearest known one is 'lsm'"):
        build("lsn", 1, 2, {})
    with pytest.raises(SettingsError, match="the nearest known one is 'width'"):
        build("lsm", 1, 2, {"widht": 8})
    with pytest.raises(SettingsError, match="width is 20; expected a multiple of 8 heads"):
        build("lsm", 1, 2, {"width": 20, "heads": 8})
    if find_spec("neuralop") is None:
        with pytest.raises(InputError, match="'neuralop_fno' can not be loaded"):
            build("neuralop_fno", 1, 2, {})
    with pytest.raises(InputError, match="fields have 1 axes"):
        build("lsm", 1, 1, {})
