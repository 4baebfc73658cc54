"""A factor of a standard deviation under which 95 % intervals hold 95 % of what was observed."""

from __future__ import annotations

import numpy as np

from voxfield.fields.manifold._patches import Real
from voxfield.intervals import NORMAL_95

LEVEL = 0.95


def calibrated(square: Real, variance: Real, rest: Real, bounds: tuple[float, float]) -> float:
    """The factor f for which 95 % of `square` lie below 3.84 (f^2 variance + rest).

    square    (n,) squared residuals
    variance  (n,) whose scale is in question
    rest      (n,) variance that is beyond question, such as noise
    returns   1 where `rest` hides the answer: within two standard errors of 95 % it holds the data by itself

    Of n residuals 95 % (1 + 1 / n) have to be held, so that the next one is held 95 % of the time (as in split
    conformal prediction).
    """
    doubt = 2 * np.sqrt(LEVEL * (1 - LEVEL) / len(square))
    wanted = min(LEVEL * (1 + 1 / len(square)), 1.0)
    tried = np.geomspace(*bounds, 80)
    held = np.array([(square <= NORMAL_95**2 * (f**2 * variance + rest)).mean() for f in tried])
    if held[0] > LEVEL - doubt:
        return 1.0
    return float(tried[min(int(np.searchsorted(held, wanted)), len(tried) - 1)])
