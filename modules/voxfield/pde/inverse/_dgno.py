"""Deep generative neural operator of Darcy flow: one latent vector gives permeability, pressure and flux.

    beta = tanh(encoder(a)) in (-1, 1)^d;   a, u, s_x, s_y = MultiONets of x and beta

(Zang and Koutsourelakis, arXiv 2502.06250). The pressure is multiplied by sin(pi x) sin(pi y), so that it is zero on
the boundary whatever the weights. Pressure and flux are in the units of the solution for a constant permeability.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from voxfield.pde.inverse._multionet import MultiONet


@dataclass(frozen=True)
class Darcy:
    """What permeabilities there are, of which values, and what drives the flow: everything a model was made for."""

    low: float
    high: float
    forcing: float
    cells: int
    waves: int = 10
    tau: float = 3.0

    @property
    def mean(self) -> float:
        """Of the two permeabilities."""
        return (self.low + self.high) / 2

    @property
    def pressure_scale(self) -> float:
        """Height of the first mode of the solution for the mean permeability."""
        return self.forcing / (2 * math.pi**2 * self.mean)


@dataclass(frozen=True)
class Sizes:
    """Of the networks."""

    latent: int = 64
    width: int = 64
    depth: int = 4
    last: int = 3


class Fluxes(NamedTuple):
    """Over the pressure's scale: pressure (b, p), its gradient (b, p, 2), and over that times the mean
    permeability: flux (b, p, 2), s = a grad u."""

    pressure: Tensor
    gradient: Tensor
    flux: Tensor


class DeepGenerativeOperator(nn.Module):  # type: ignore[misc]
    """Permeabilities (b, n, n) to latent vectors (b, d), and these to functions of places (p, 2)."""

    def __init__(self, darcy: Darcy, sizes: Sizes) -> None:
        super().__init__()
        self.darcy, self.sizes = darcy, sizes
        inputs = darcy.cells**2
        self.encoder = nn.Sequential(
            nn.Linear(inputs, 256), nn.SiLU(), nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, sizes.latent), nn.Tanh()
        )
        parts = {"width": sizes.width, "depth": sizes.depth, "last": sizes.last}
        self.permeability = MultiONet(sizes.latent, **parts)
        self.pressure = MultiONet(sizes.latent, **parts)
        self.flux = nn.ModuleList(MultiONet(sizes.latent, **parts) for _ in range(2))

    def arguments(self) -> dict[str, Any]:
        """What `build` takes."""
        return {"darcy": asdict(self.darcy), "sizes": asdict(self.sizes)}

    def encode(self, permeability: Tensor) -> Tensor:
        """Latent vectors (b, d)."""
        half = (self.darcy.high - self.darcy.low) / 2
        latent: Tensor = self.encoder((permeability.flatten(1) - self.darcy.mean) / half)
        return latent

    def logit(self, latent: Tensor, places: Tensor) -> Tensor:
        """Log odds (b, p) of the high permeability."""
        found: Tensor = self.permeability(latent, places)
        return found

    def solution(self, latent: Tensor, places: Tensor) -> Tensor:
        """Pressure (b, p), in its own unit."""
        found: Tensor = self.darcy.pressure_scale * vanishing(places)[0] * self.pressure(latent, places)
        return found

    def fluxes(self, latent: Tensor, places: Tensor) -> Fluxes:
        """What a weak residual and the law of Darcy need, in the model's units."""
        values, slopes = self.pressure.with_gradient(latent, places)
        factor, rise = vanishing(places)
        gradient = factor[:, None] * slopes + rise * values[..., None]
        return Fluxes(factor * values, gradient, self.flow(latent, places))

    def flow(self, latent: Tensor, places: Tensor) -> Tensor:
        """Flux (b, p, 2) in the model's units."""
        return torch.stack([part(latent, places) for part in self.flux], dim=-1)


def vanishing(places: Tensor) -> tuple[Tensor, Tensor]:
    """sin(pi x) sin(pi y) (p,) and its gradient (p, 2)."""
    sine, cosine = torch.sin(math.pi * places), torch.cos(math.pi * places)
    return sine.prod(dim=-1), math.pi * cosine * sine.flip(-1)
