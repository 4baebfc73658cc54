"""The intrinsic kernel as a GPyTorch kernel, for models and likelihoods of that library.

Inputs are rows: node i of a field with c components has the rows c i ... c i + c - 1, one for each tangent coordinate.
The covariance is a low-rank LinearOperator, so that GPyTorch solves with it by Woodbury's identity.
"""

from __future__ import annotations

import gpytorch
import torch
from linear_operator.operators import LinearOperator, MatmulLinearOperator, RootLinearOperator

from voxfield.fields.manifold._modes import Modes


class SpectralKernel(gpytorch.kernels.Kernel):  # type: ignore[misc]  # gpytorch has no types
    """K(r, s) = sum_j S(lambda_j) phi_j(r) phi_j(s) with a Matern or heat density, of unit variance over the modes.

    raw_length, raw_smoothness  kappa and nu, unconstrained; both learn by gradient. Put it into a
                                gpytorch.kernels.ScaleKernel for a variance.
    """

    has_lengthscale = False

    def __init__(self, modes: Modes, kind: str = "matern") -> None:
        super().__init__()
        if kind not in ("matern", "heat"):
            raise ValueError(f"kind is {kind!r}; expected 'matern' or 'heat'")
        nodes, components, count = modes.vectors.shape
        self.kind = kind
        self.register_buffer("eigenvalues", torch.as_tensor(modes.eigenvalues))
        self.register_buffer("features", torch.as_tensor(modes.vectors.reshape(nodes * components, count)))
        self.components = components
        for name in ("length", "smoothness"):
            self.register_parameter(f"raw_{name}", torch.nn.Parameter(torch.zeros((), dtype=torch.float64)))
            self.register_constraint(f"raw_{name}", gpytorch.constraints.Positive())

    @property
    def length(self) -> torch.Tensor:
        """kappa, unit of the points."""
        return self.raw_length_constraint.transform(self.raw_length)

    @property
    def smoothness(self) -> torch.Tensor:
        """nu; without effect on "heat"."""
        return self.raw_smoothness_constraint.transform(self.raw_smoothness)

    def density(self) -> torch.Tensor:
        """(k,) prior variances of the modes; a component has the mean variance 1."""
        if self.kind == "heat":
            logs = -0.5 * self.length.square() * self.eigenvalues
        else:
            logs = -self.smoothness * torch.log1p(self.eigenvalues * self.length.square() / (2 * self.smoothness))
        return self.components * torch.softmax(logs, 0)

    def forward(
        self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, **_: object
    ) -> torch.Tensor | LinearOperator:
        """Covariance of rows x1 (a, 1) and x2 (b, 1)."""
        root = self.density().sqrt()
        first, second = (self.features[x[..., 0].round().long()] * root for x in (x1, x2))
        if diag:
            return (first * second).sum(-1)
        if first.shape == second.shape and torch.equal(x1, x2):
            return RootLinearOperator(first)
        return MatmulLinearOperator(first, second.mT)
