"""Two parameters that make a conductivity of an input field: a = low + slope * input, fitted to known solutions.

Inputs may be labels of two materials, or conductivities in another unit; and where the grid is coarse, or the solutions
were sampled from a finer one, the conductivity that fits best is not the true one. With the input's range on the
training samples going from 0 to 1, a = (1 + (contrast - 1) input) / scale: the solution is proportional to `scale`,
which has a closed form, so that only the contrast is searched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from voxfield.errors import InputError
from voxfield.pde.operators._pairs import relative_l2

if TYPE_CHECKING:
    from voxfield.pde.operators._darcy import DarcyGrid
    from voxfield.pde.operators._pairs import Pairs
    from voxfield.pde.problem.operator import Array

LARGEST = 1e4  # contrast that is looked at, and its inverse


@dataclass(frozen=True)
class Contrast:
    """a = low + slope * input."""

    low: float
    slope: float

    def __call__(self, inputs: Array) -> Array:
        """Conductivity, like the inputs. Raises InputError where it is not positive."""
        found = self.low + self.slope * inputs
        if found.min() <= 0:
            raise InputError(
                f"an input of {inputs.flat[found.argmin()]:g} is far from those of training: its conductivity would be "
                f"{found.min():.3g}; expected above 0"
            )
        return np.asarray(found)


def fit_contrast(pairs: Pairs, grid: DarcyGrid, forcing: Array) -> Contrast:
    """The map whose solutions have the least mean relative L2 error on some samples; forcing like the grid."""
    least, most = float(pairs.inputs.min()), float(pairs.inputs.max())
    if most <= least:
        raise InputError(f"the inputs are {least:g} everywhere; there is nothing to learn from")
    unit = (pairs.inputs - least) / (most - least)

    def solutions(log_contrast: float) -> tuple[Array, float]:
        found = np.stack([grid.solve(1 + np.expm1(log_contrast) * one, forcing) for one in unit])
        weights = 1 / np.square(pairs.solutions).sum(axis=tuple(range(1, found.ndim)), keepdims=True)
        return found, float((weights * found * pairs.solutions).sum() / (weights * found * found).sum())

    def error(log_contrast: float) -> float:
        found, scale = solutions(log_contrast)
        return float(relative_l2(scale * found, pairs.solutions).mean())

    bound = np.log(LARGEST)
    best = float(minimize_scalar(error, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-3}).x)
    _, scale = solutions(best)
    if scale <= 0:
        raise InputError(
            "the solutions have the sign of no Darcy flow under this forcing; the problem may have the other sign"
        )
    slope = float(np.expm1(best)) / (most - least) / scale
    return Contrast(1 / scale - slope * least, slope)
