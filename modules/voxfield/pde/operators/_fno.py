"""Fourier Neural Operator: convolutions over the whole domain, by their Fourier coefficients.

Li, Kovachki, Azizzadenesheli, Liu, Bhattacharya, Stuart and Anandkumar, "Fourier Neural Operator for Parametric Partial
Differential Equations", ICLR 2021 (arXiv 2010.08895), equations 2 to 5: v <- gelu(W v + F^-1(R F v)) with R zero above
some frequency. Coefficients are those of the function (normalised by the number of points), so that a layer does the
same to a band-limited function whatever the grid. The domain is not padded.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

HIDDEN = 128  # of the last two layers


class FourierOperator(nn.Module):  # type: ignore[misc]
    """(b, channels, *grid), places (dims, *grid) -> (b, 1, *grid), grids of 2 or 3 axes.

    width   features of a point
    modes   frequencies kept along each axis, to either side of 0
    layers  number of Fourier layers
    """

    one_spacing = False

    def __init__(
        self,
        channels: int,
        dims: int,
        *,
        width: Annotated[int, Ge(1), Le(512)] = 24,
        modes: Annotated[int, Ge(1), Le(128)] = 6,
        layers: Annotated[int, Ge(1), Le(16)] = 4,
    ) -> None:
        super().__init__()
        pointwise = nn.Conv2d if dims == 2 else nn.Conv3d
        self.lift = pointwise(channels + dims, width, 1)
        self.spectral = nn.ModuleList(SpectralConvolution(width, modes, dims) for _ in range(layers))
        self.local = nn.ModuleList(pointwise(width, width, 1) for _ in range(layers))
        self.head = nn.Sequential(pointwise(width, HIDDEN, 1), nn.GELU(), pointwise(HIDDEN, 1, 1))

    def forward(self, values: Tensor, places: Tensor) -> Tensor:
        """The solution, in the units in which the network was trained."""
        x = self.lift(torch.cat([values, places.expand(len(values), *places.shape)], dim=1))
        for spectral, local in zip(self.spectral, self.local, strict=True):
            x = nn.functional.gelu(spectral(x) + local(x))
        found: Tensor = self.head(x)
        return found


class SpectralConvolution(nn.Module):  # type: ignore[misc]
    """(b, width, *grid) -> the same shape: every low Fourier coefficient times a matrix of its own.

    A frequency k of 0 <= k < modes along the last axis, -modes <= k < modes along others, as far as the grid has it.
    """

    def __init__(self, width: int, modes: int, dims: int) -> None:
        super().__init__()
        self.modes = modes
        shape = (*[2 * modes] * (dims - 1), modes, width, width, 2)  # the last: real and imaginary part
        self.weights = nn.Parameter(torch.randn(shape) / width / 2**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        grid = x.shape[2:]
        axes = tuple(range(2, x.ndim))
        coefficients = torch.fft.rfftn(x, dim=axes, norm="forward")
        weights = torch.view_as_complex(self.weights)
        low = torch.zeros_like(coefficients)
        for corner in product((0, 1), repeat=len(grid) - 1):
            theirs, ours = self._corner(grid, corner)
            low[theirs] = torch.einsum("bi...,...io->bo...", coefficients[theirs], weights[ours])
        return torch.fft.irfftn(low, s=grid, dim=axes, norm="forward")

    def _corner(self, grid: tuple[int, ...], negative: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Where frequencies of given signs lie among the coefficients and among the weights."""
        theirs, ours = [slice(None), slice(None)], []
        for n, below in zip(grid, negative, strict=False):
            kept = min(self.modes, n // 2)
            theirs.append(slice(n - kept, n) if below else slice(kept))
            ours.append(slice(2 * self.modes - kept, None) if below else slice(kept))
        last = min(self.modes, grid[-1] // 2 + 1)
        return (*theirs, slice(last)), (*ours, slice(last))
