"""u given the equation and its data, anywhere in the box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.gp_hm._product import along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfield.pde.gp_hm._envelope import Floats
    from voxfield.pde.gp_hm._evidence import Regression
    from voxfield.pde.gp_hm._product import Product


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process: u given the equation and its data.

    product       kernels and the pairs of their components
    regression    of the coefficients on the data of the equation, linearised where it is not linear
    coefficients  (columns,) of the mean
    axes          nodes on which the equation was asked
    facts         what the solve found: `frequencies` (radians a unit, one list an axis), `lengths` (trend and bands,
                  shares of the axis), `growth`, `functions` (how many), `noise` and `noise_share` (of the forcing),
                  `log_evidence`, `residual` (relative), `newton_steps` and `newton_gap`, `stopped` (why, one an axis)
    """

    product: Product
    regression: Regression
    coefficients: Floats
    axes: tuple[Floats, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def mean(self, axes: Sequence[Floats] | None = None, order: tuple[int, ...] | None = None) -> Floats:
        """Posterior mean of u, or of a derivative, on the grid of any nodes in the box."""
        return along(self._designs(axes, order), self.product.tensor(self.coefficients))

    def standard_deviation(self, axes: Sequence[Floats] | None = None, order: tuple[int, ...] | None = None) -> Floats:
        """Posterior standard deviation of u, or of a derivative, on the grid of any nodes in the box."""
        designs = self._designs(axes, order)
        root = np.sqrt(self.regression.weights)[:, None] * self.regression.root
        if len(designs) == 1:
            return np.asarray(np.linalg.norm(designs[0][:, self.product.active] @ root, axis=1))
        variance = np.zeros([len(design) for design in designs])
        for column in root.T:
            variance += along(designs, self.product.tensor(column)) ** 2
        return np.sqrt(variance)

    def _designs(self, axes: Sequence[Floats] | None, order: tuple[int, ...] | None) -> list[Floats]:
        nodes = self.axes if axes is None else [np.asarray(x, dtype=float) for x in axes]
        for x, kernel in zip(nodes, self.product.kernels, strict=True):
            slack = _SLACK * (kernel.high - kernel.low)
            if x.size and (x.min() < kernel.low - slack or x.max() > kernel.high + slack):
                raise InputError(
                    f"nodes from {x.min():g} to {x.max():g} leave the box [{kernel.low:g}, {kernel.high:g}]; "
                    "the equation is known inside it only"
                )
        return self.product.designs(nodes, order or (0,) * len(nodes))


_SLACK = 1e-9
