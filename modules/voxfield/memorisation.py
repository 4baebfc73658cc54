"""When a network begins to learn the errors of its labels by heart.

Liu et al., "Adaptive Early-Learning Correction for Segmentation from Noisy Annotations" (ADELE), CVPR 2022 (arXiv
2110.03740). The agreement with the labels that are trained on (overlap of masks, recall of a grade) rises fast while
the network learns what labels have in common, and slowly while it learns their errors. For every class, its course over
checks t = 1, 2, ... is fitted by

    f(t) = a (1 - exp(-b t^c))

and the class counts as memorised once the slope has fallen by more than `SLOWED` of what it was: |f'(1) - f'(t)| > r
|f'(1)|.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

SLOWED = 0.9
FEWEST = 4  # checks: one more than the curve has parameters
_LOW, _HIGH = (0.0, 1e-6, 0.1), (1.0, 50.0, 5.0)


def fit(agreement: Sequence[float]) -> tuple[float, float, float]:
    """a, b and c of the curve through the agreement, 0 to 1, at checks 1, 2, ..."""
    seen = np.asarray(agreement, dtype=np.float64)
    t = np.arange(1, len(seen) + 1, dtype=np.float64)

    def misfit(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b, c = parameters
        return np.asarray(a * -np.expm1(-b * t**c) - seen)

    start = np.clip([seen.max(), 0.5, 1.0], _LOW, _HIGH)
    a, b, c = least_squares(misfit, start, bounds=(_LOW, _HIGH)).x
    return float(a), float(b), float(c)


def slope(parameters: tuple[float, float, float], t: float) -> float:
    """f'(t)."""
    a, b, c = parameters
    return float(a * b * c * t ** (c - 1) * np.exp(-b * t**c))


def memorised(agreement: Sequence[float]) -> bool:
    """Whether the last check lies beyond early learning."""
    if len(agreement) < FEWEST or max(agreement) <= 0:
        return False
    parameters = fit(agreement)
    first = slope(parameters, 1.0)
    return abs(first - slope(parameters, float(len(agreement)))) > SLOWED * abs(first)
