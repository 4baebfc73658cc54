"""What a deep generative operator is trained by: no solutions, only the equation, in weak form.

    for balls B_k:   mean over B_k of (s . grad v_k - f v_k) = 0      (div s + f = 0, tested by Wendland functions)
    at places x:     s / a = grad u                                   (Darcy's law)
                     a decoded = a                                    (cross entropy)

(arXiv 2502.06250, section 3.2). Different from it: the residual is in units of the mean of f v_k, so that 1 is what no
flow at all leaves; the balls have a radius of a few cells instead of 1e-4, which is a divergence over an area instead
of at a point; Darcy's law is divided by a, since s - a grad u makes u too flat where the latent vector does not tell a
(by E[a]^2 / E[a^2]; measured: a third); and permeabilities are drawn anew at every step, which costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxfield.pde.inverse._dgno import DeepGenerativeOperator
from voxfield.pde.inverse._wendland import TestBall, unit_ball


@dataclass(frozen=True)
class Balls:
    """Supports of equal radius in the unit square, and how each is integrated over."""

    radius: float = 0.08
    count: int = 24
    rings: int = 5
    spokes: int = 6

    def draw(self, generator: torch.Generator) -> Tensor:
        """Centres (count, 2), uniform among the balls that lie in the square."""
        return self.radius + (1 - 2 * self.radius) * torch.rand(self.count, 2, generator=generator)

    def rule(self) -> TestBall:
        """Points, weights and test function of the unit ball."""
        return unit_ball(self.rings, self.spokes)


def weak_residual(flux: Tensor, ball: TestBall, radius: float) -> Tensor:
    """Residuals (b, k), relative to the mean of f v_k, from fluxes (b, k, q, 2) in the model's units.

    In these, f is 2 pi^2.
    """
    weights, gradients = (torch.tensor(v, dtype=flux.dtype) for v in (ball.weights, ball.gradients))
    driven = 2 * math.pi**2 * float(np.sum(ball.weights * ball.values))
    inflow: Tensor = torch.einsum("bkqd,qd,q->bk", flux, gradients, weights) / radius
    return inflow / driven - 1


def losses(
    model: DeepGenerativeOperator, permeability: Tensor, balls: Balls, places: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """The three parts, each a mean over the batch (b, n, n); balls and as many other `places` are drawn."""
    latent, ball = model.encode(permeability), balls.rule()
    points = torch.tensor(ball.points, dtype=torch.float32)
    inside = (balls.draw(generator)[:, None] + balls.radius * points).reshape(-1, 2)
    flux = model.flow(latent, inside).reshape(len(latent), balls.count, -1, 2)
    anywhere = torch.rand(places, 2, generator=generator)
    found = model.fluxes(latent, anywhere)
    a = at_places(permeability, anywhere)
    high = (a > model.darcy.mean).float()
    return {
        "equation": weak_residual(flux, ball, balls.radius).square().mean(),
        "law": ((model.darcy.mean / a)[..., None] * found.flux - found.gradient).square().mean(),
        "permeability": nn.functional.binary_cross_entropy_with_logits(model.logit(latent, anywhere), high),
    }


def at_places(permeability: Tensor, places: Tensor) -> Tensor:
    """Values (b, p) of cells (b, n, n) at places (p, 2)."""
    n = permeability.shape[-1]
    x, y = (places * n).long().clamp_(0, n - 1).unbind(-1)
    return permeability[:, x, y]
